import { HttpService } from '@nestjs/axios';
import { Inject, Injectable, Optional, type OnApplicationBootstrap } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import type { ChargeRequest } from '../cart.js';
import type { Settings } from '../settings.js';
import { SETTINGS } from '../tokens.js';

export const CHARGE_TOPIC = 'shop.charge';

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
    if (this.kafka) await firstValueFrom(this.kafka.send(CHARGE_TOPIC, request));
    else await firstValueFrom(this.http.post(`${this.settings.paymentsUrl}/charges`, request));
  }
}
