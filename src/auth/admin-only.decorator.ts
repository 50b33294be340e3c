import { SetMetadata } from '@nestjs/common';

export const IS_ADMIN_ONLY = Symbol('IS_ADMIN_ONLY');

/** Lets only tokens with `role: "admin"` use a route; others get 403 `admin_only`. */
export const AdminOnly = (): MethodDecorator & ClassDecorator => SetMetadata(IS_ADMIN_ONLY, true);
