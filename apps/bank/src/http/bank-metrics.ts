import { Inject, Injectable } from '@nestjs/common';
import { ConcordatParticipant, type ParticipantMetrics } from '@concordat/nestjs';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

/** Sampling at the default of 10 ms would wake an idle process 100 times a second. */
const EVENT_LOOP_SAMPLING_MS = 100;

/** The participant's counters for Prometheus, read on each scrape. */
@Injectable()
export class BankMetrics {
  private readonly registry = new Registry();

  constructor(@Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant) {
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLING_MS });
    this.counter('votes', 'votes sent', 'vote', ({ votes }) => votes);
    this.counter('refusals', 'votes no, by code', 'code', ({ refusals }) => refusals);
    this.counter('branch_ends', 'branches that have ended', 'end', ({ ends }) => ends);
    this.counter('alerts', 'alerts for an operator', 'code', ({ alerts }) => alerts);
    this.counter('dropped', 'work dropped because the queue was full', 'what', ({ dropped }) => ({ work: dropped }));
    this.counter('unknown', 'attempts with an unknown result', 'what', ({ unknown }) => ({ attempt: unknown }));
    this.counter('unsendable', 'messages that can never be sent', 'what', ({ unsendable }) => ({
      message: unsendable,
    }));
    this.counter('inquiries', 'inquiries about branches in doubt', 'what', ({ inquiries }) => ({ sent: inquiries }));
    this.counter('terminations', 'terminations: branches that decide without a coordinator', 'what', (metrics) => ({
      due: metrics.terminations,
    }));
    this.counter('database_changes', 'times the database was found to be replaced', 'what', (metrics) => ({
      found: metrics.databaseChanges,
    }));
    this.counter('abstentions', 'abstentions because the database had changed', 'what', (metrics) => ({
      said: metrics.abstentions,
    }));
    this.counter('dead_letters', 'dead letters, by reason', 'reason', ({ deadLetters }) => deadLetters);
    this.counter(
      'signature_warnings',
      'messages that were taken although their signatures do not hold, by reason',
      'reason',
      ({ signatureWarnings }) => signatureWarnings,
    );
    this.counter('broker_requests', 'requests to the broker, by kind', 'kind', ({ brokerRequests }) => brokerRequests);
    new Gauge({
      name: 'concordat_participant_certificate_expiry_seconds',
      help: 'seconds until a certificate that the bank shows ends, by use; negative when it has',
      labelNames: ['use'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [use, seconds] of Object.entries(participant.metrics().certificateExpirySeconds)) {
          this.set({ use }, seconds);
        }
      },
    });
    this.gauge('prepared_branches', 'branches prepared at the last sweep', (metrics) => metrics.preparedBranches);
    this.gauge(
      'oldest_prepared_age_seconds',
      'age of the oldest prepared branch at the last sweep',
      (metrics) => metrics.oldestPreparedAgeMs / 1_000,
    );
    this.gauge('work_running', 'branches whose work is running', (metrics) => metrics.workRunning);
    this.gauge('held_branches', 'branches held between calls', (metrics) => metrics.heldBranches);
    this.gauge('held_branches_waiting', 'branches that wait to be held', (metrics) => metrics.heldBranchesWaiting);
    this.gauge('oldest_held_seconds', 'age of the oldest held branch', (metrics) => metrics.oldestHeldMs / 1_000);
    this.gauge('work_waiting', 'branches whose work is waiting', (metrics) => metrics.workWaiting);
    this.gauge('oldest_work_seconds', 'age of the oldest running work', (metrics) => metrics.oldestWorkMs / 1_000);
    this.gauge(
      'oldest_decision_seconds',
      'age of the oldest running decision',
      (metrics) => metrics.oldestDecisionMs / 1_000,
    );
    this.gauge('overdue', 'running work and decisions that should have ended', (metrics) => metrics.overdue);
    this.gauge('decisions_running', 'decisions being carried out', (metrics) => metrics.decisionsRunning);
    this.gauge('decisions_waiting', 'decisions that wait', (metrics) => metrics.decisionsWaiting);
  }

  async render(): Promise<string> {
    return this.registry.metrics();
  }

  private counter(
    name: string,
    help: string,
    label: string,
    read: (metrics: ParticipantMetrics) => Readonly<Record<string, number>>,
  ): void {
    const { participant } = this;
    new Counter({
      name: `concordat_participant_${name}_total`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read(participant.metrics()))) this.inc({ [label]: value }, count);
      },
    });
  }

  private gauge(name: string, help: string, read: (metrics: ParticipantMetrics) => number): void {
    const { participant } = this;
    new Gauge({
      name: `concordat_participant_${name}`,
      help,
      registers: [this.registry],
      collect() {
        this.set(read(participant.metrics()));
      },
    });
  }
}
