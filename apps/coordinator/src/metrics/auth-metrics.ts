import type { Metrics } from './metrics.js';

/** Counts the credentials that a node refuses. */
export class AuthMetrics {
  private readonly byReason = new Map<string, number>();

  constructor(metrics: Metrics) {
    metrics.labelled(
      'concordat_http_refused_credentials_total',
      'Requests whose sender did not show who it is, by reason',
      'reason',
      'counter',
      () => this.byReason,
    );
  }

  refused(reason: string): void {
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1);
  }
}
