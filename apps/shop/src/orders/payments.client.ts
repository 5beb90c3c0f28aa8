import { HttpService } from '@nestjs/axios';
import { Inject, Injectable, Optional, type OnApplicationBootstrap } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { firstValueFrom, timeout, type Observable } from 'rxjs';
import type { ChargeRequest } from '../cart.js';
import { CHARGE_TOPIC } from '../kafka-topics.js';
import type { Settings } from '../settings.js';
import { SETTINGS } from '../tokens.js';
import { calleeError } from './callee-error.js';

/** A message has no answer when the other side has died. */
const ANSWER_TIMEOUT_MS = 8_000;

/** The payments: over Kafka where there is a broker, otherwise over HTTP. */
@Injectable()
export class PaymentsClient implements OnApplicationBootstrap {
  constructor(
    @Inject(HttpService) private readonly http: HttpService,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Optional() @Inject(ClientKafka) private readonly kafka?: ClientKafka,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.kafka?.subscribeToResponseOf(CHARGE_TOPIC);
    await this.kafka?.connect();
  }

  async charge(request: ChargeRequest): Promise<void> {
    const answer: Observable<unknown> = this.kafka
      ? this.kafka.send(CHARGE_TOPIC, request)
      : this.http.post(`${this.settings.paymentsUrl}/charges`, request);
    await firstValueFrom(answer.pipe(timeout(ANSWER_TIMEOUT_MS))).catch((error: unknown) => {
      throw calleeError(error);
    });
  }
}
