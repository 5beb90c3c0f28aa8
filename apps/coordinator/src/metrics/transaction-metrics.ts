import type { Figures } from '../transactions/figures.js';
import type { Metrics } from './metrics.js';

export function watchTransactions(metrics: Metrics, figures: () => Figures): void {
  metrics.gauge('concordat_transactions_open', 'Transactions that have not ended', () => figures().open);
  metrics.gauge(
    'concordat_branches_in_doubt',
    'Branches in doubt for longer than CONCORDAT_IN_DOUBT_AFTER_MS',
    () => figures().inDoubt,
  );
  metrics.gauge('concordat_transactions_ended', 'Ended transactions that are kept', () => figures().ended);
  metrics.gauge(
    'concordat_transactions_waiting_for_keys',
    'Transactions that wait for the keys they declared',
    () => figures().waitingForKeys,
  );
  metrics.gauge(
    'concordat_hazards_open',
    'Branches that ended against their decision and that no operator has forgotten',
    () => figures().hazards,
  );
  metrics.gauge(
    'concordat_unknown_old_branches',
    'Prepared branches whose decision is no longer known; known to the leader only',
    () => figures().unknownOld,
  );
  metrics.labelled(
    'concordat_rulings_total',
    'Rulings of operators while this node led, by action',
    'action',
    'counter',
    () => Object.entries(figures().rulings),
  );
  metrics.gauge(
    'concordat_unsendable_messages_total',
    'Messages that no reader or broker will ever accept, since the start',
    () => figures().unsendable,
  );
  metrics.gauge(
    'concordat_clock_skew_ms',
    'Largest difference between the known clocks of the voters, in milliseconds',
    () => figures().clocks.skewMs,
  );
  metrics.gauge(
    'concordat_clocks_agree',
    '1 while the clocks of a majority of the voters agree; nothing expires while they do not',
    () => Number(figures().clocks.verdict === 'agreed'),
  );
  metrics.gauge(
    'concordat_alerts_total',
    'Alerts since the start: broken promises, unknown old branches, diverging clocks, unsendable messages',
    () => figures().alerts,
  );
}
