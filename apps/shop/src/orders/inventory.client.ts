import { HttpService } from '@nestjs/axios';
import { Inject, Injectable } from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import type { ReservationRequest } from '../cart.js';
import type { Settings } from '../settings.js';
import { SETTINGS } from '../tokens.js';
import { calleeError } from './callee-error.js';

/** The inventory, over HTTP. */
@Injectable()
export class InventoryClient {
  constructor(
    @Inject(HttpService) private readonly http: HttpService,
    @Inject(SETTINGS) private readonly settings: Settings,
  ) {}

  async reserve(request: ReservationRequest): Promise<void> {
    const answer = this.http.post(`${this.settings.inventoryUrl}/reservations`, request);
    await firstValueFrom(answer).catch((error: unknown) => {
      throw calleeError(error);
    });
  }
}
