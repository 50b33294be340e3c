import { SetMetadata } from '@nestjs/common';

export const IS_BILLED = Symbol('IS_BILLED');

/** A route whose requests cost money: the interceptor opens `context.billing` for it. */
export const Billed = (): MethodDecorator & ClassDecorator => SetMetadata(IS_BILLED, true);
