import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { Request } from 'express';
import type { Observable } from 'rxjs';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { readJsonBody } from './read-json-body.js';

/**
 * Reads the body of a request that the guards have let through, before the pipes look at it.
 * So an unknown caller cannot make the gateway buffer a megabyte, and a refused one costs no parsing.
 */
@Injectable()
export class JsonBodyInterceptor implements NestInterceptor {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'OPTIONS') {
      request.body = await readJsonBody(request, this.config.http.bodyLimitBytes);
    }
    return next.handle();
  }
}
