import { HttpException, HttpStatus, Injectable, UnprocessableEntityException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { MoreThanOrEqual, type Repository } from 'typeorm';
import type { ChargeRequest } from '../cart.js';
import { Customer } from './customer.entity.js';
import { Payment } from './payment.entity.js';

/** Credit and payments, in the service's own database. */
@Injectable()
export class PaymentsService {
  constructor(
    @InjectRepository(Customer) private readonly customers: Repository<Customer>,
    @InjectRepository(Payment) private readonly payments: Repository<Payment>,
  ) {}

  async charge({ orderId, customer, amount }: ChargeRequest): Promise<Payment> {
    const enough = { name: customer, credit: MoreThanOrEqual(amount) };
    const { affected } = await this.customers.decrement(enough, 'credit', amount);
    if (affected !== 1) throw await this.refusal(customer, amount);
    return this.payments.save({ orderId, customer, amount });
  }

  all(): Promise<Payment[]> {
    return this.payments.find({ order: { orderId: 'ASC' } });
  }

  credits(): Promise<Customer[]> {
    return this.customers.find({ order: { name: 'ASC' } });
  }

  private async refusal(customer: string, amount: number): Promise<HttpException> {
    const known = await this.customers.findOneBy({ name: customer });
    if (!known) return new UnprocessableEntityException(`there is no customer ${customer}`);
    const sentence = `${customer} may spend ${known.credit}, which is less than ${amount}`;
    return new HttpException(sentence, HttpStatus.PAYMENT_REQUIRED);
  }
}
