import { UseInterceptors } from '@nestjs/common';
import { BillingInterceptor } from './billing.interceptor.js';

/** Marks a route or controller whose handler spends money: the billing interceptor opens a session for it. */
export const Billed = (): MethodDecorator & ClassDecorator => UseInterceptors(BillingInterceptor);
