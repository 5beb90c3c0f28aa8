import { BadGatewayException, GatewayTimeoutException, HttpException } from '@nestjs/common';
import { AxiosError } from 'axios';
import { TimeoutError } from 'rxjs';

interface Refusal {
  readonly statusCode: number;
  readonly message: string;
}

/** The refusal of another service is the answer to the customer; its silence is a bad gateway. */
export function calleeError(error: unknown): unknown {
  if (error instanceof AxiosError) {
    return refusalOf(error.response?.data) ?? new BadGatewayException(error.message, { cause: error });
  }
  if (error instanceof TimeoutError) return new GatewayTimeoutException('the other service does not answer');
  return refusalOf(error) ?? error;
}

/** From the body of an HTTP answer, or from the error of a reply over Kafka, which is text or an object. */
function refusalOf(told: unknown): HttpException | undefined {
  const refusal = typeof told === 'string' ? parsed(told) : told;
  return isRefusal(refusal) ? new HttpException(refusal.message, refusal.statusCode) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRefusal(value: unknown): value is Refusal {
  if (typeof value !== 'object' || value === null) return false;
  const { statusCode, message } = value as Partial<Refusal>;
  return typeof statusCode === 'number' && typeof message === 'string';
}
