import { Controller, Get, Header, Inject } from '@nestjs/common';
import { GlobalTransactions } from '@concordat/nestjs';

const REFUSED = 'concordat_participant_refused_contexts_total';

/** What the service counts itself, for Prometheus. */
@Controller()
export class MetricsController {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  metrics(): string {
    const { counts } = this.transactions.refusedContexts;
    return [
      `# HELP ${REFUSED} calls that were refused because of the context of their transaction, by code`,
      `# TYPE ${REFUSED} counter`,
      ...Object.entries(counts).map(([code, count]) => `${REFUSED}{code="${code}"} ${count}`),
      '',
    ].join('\n');
  }
}
