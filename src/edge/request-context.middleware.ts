import { type CallSignal, CallSwitch } from '@app/contracts';
import type { NextFunction, Request, Response } from 'express';
import type { Principal } from '../auth/principal.js';
import type { BillingSession } from '../billing/billing-session.js';
import { clientAddress } from './client-address.js';
import type { RequestContext } from './request-context.js';
import { uuidV7 } from './uuid-v7.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:@|/+=-]{1,128}$/;
const SANE_TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * First of all: gives every request its context and its id, so that even a refusal can be found in the logs.
 * Decides nothing and refuses nobody: security lives in guards.
 */
export function requestContext(request: Request, response: Response, next: NextFunction): void {
  const context = new OpenContext(request);
  request.gateway = context;
  response.setHeader('x-request-id', context.requestId);
  response.on('close', noteClose);
  next();
}

/** One for all responses, which know their request. It comes once: a listener that takes itself off would be dearer. */
function noteClose(this: Response): void {
  if (!this.writableFinished) (this.req.gateway as OpenContext).noteClientGone();
}

class OpenContext implements RequestContext {
  readonly requestId: string;
  readonly billingId = uuidV7();
  readonly startedAtMs = performance.now();
  readonly path: string;
  readonly traceparent: string | undefined;
  isClientGone = false;
  principal: Principal | undefined = undefined;
  authenticatedAtMs: number | undefined = undefined;
  admittedAtMs: number | undefined = undefined;
  billing: BillingSession | undefined = undefined;
  hasRecord = false;
  errorCode: RequestContext['errorCode'] = undefined;
  readonly #request: Request;
  #gone: CallSwitch | undefined;

  constructor(request: Request) {
    this.#request = request;
    this.requestId = sane(request.headers['x-request-id'], SANE_REQUEST_ID) ?? this.billingId;
    this.path = request.path ?? request.url;
    this.traceparent = sane(request.headers.traceparent, SANE_TRACEPARENT);
  }

  noteClientGone(): void {
    this.isClientGone = true;
    this.#gone?.abort();
  }

  get clientGone(): CallSignal {
    if (!this.#gone) {
      this.#gone = new CallSwitch();
      if (this.isClientGone) this.#gone.abort();
    }
    return this.#gone;
  }

  get clientAddress(): string {
    return clientAddress(this.#request);
  }
}

function sane(value: string | string[] | undefined, form: RegExp): string | undefined {
  return typeof value === 'string' && form.test(value) ? value : undefined;
}
