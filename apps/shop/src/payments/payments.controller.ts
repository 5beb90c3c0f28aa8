import { Body, Controller, Get, Inject, Post, UseFilters } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { JoinGlobalTransaction } from '@concordat/nestjs';
import { chargeSchema, type ChargeRequest } from '../cart.js';
import { CHARGE_TOPIC } from '../kafka-topics.js';
import { SchemaPipe } from '../schema.pipe.js';
import type { Customer } from './customer.entity.js';
import type { Payment } from './payment.entity.js';
import { PaymentsService } from './payments.service.js';
import { RefusalFilter } from './refusal.filter.js';

@Controller()
export class PaymentsController {
  constructor(@Inject(PaymentsService) private readonly payments: PaymentsService) {}

  @JoinGlobalTransaction('MANDATORY')
  @MessagePattern(CHARGE_TOPIC)
  @UseFilters(RefusalFilter)
  chargeByMessage(@Payload(new SchemaPipe(chargeSchema)) request: ChargeRequest): Promise<Payment> {
    return this.payments.charge(request);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('charges')
  charge(@Body(new SchemaPipe(chargeSchema)) request: ChargeRequest): Promise<Payment> {
    return this.payments.charge(request);
  }

  @Get('payments')
  all(): Promise<Payment[]> {
    return this.payments.all();
  }

  @Get('customers')
  credits(): Promise<Customer[]> {
    return this.payments.credits();
  }
}
