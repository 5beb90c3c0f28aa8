import { Inject, Injectable } from '@nestjs/common';
import { ConcordatParticipant, type ParticipantMetrics } from '@concordat/nestjs';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

/** The participant's counters in the words of Prometheus, read when they are asked for. */
@Injectable()
export class BankMetrics {
  private readonly registry = new Registry();

  constructor(@Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant) {
    collectDefaultMetrics({ register: this.registry });
    this.counter('votes', 'votes sent', 'vote', ({ votes }) => votes);
    this.counter('refusals', 'votes no, by code', 'code', ({ refusals }) => refusals);
    this.counter('branch_ends', 'branches that have ended', 'end', ({ ends }) => ends);
    this.counter('alerts', 'what an operator must look at', 'code', ({ alerts }) => alerts);
    this.counter('dropped', 'work dropped because the queue was full', 'what', ({ dropped }) => ({ work: dropped }));
    this.counter('unknown', 'attempts without a known end', 'what', ({ unknown }) => ({ attempt: unknown }));
    this.counter('unsendable', 'messages that can never be sent', 'what', ({ unsendable }) => ({
      message: unsendable,
    }));
    this.counter('inquiries', 'questions about branches in doubt', 'what', ({ inquiries }) => ({ sent: inquiries }));
    this.counter('terminations', 'branches that were to decide without a coordinator', 'what', (metrics) => ({
      due: metrics.terminations,
    }));
    this.counter('database_changes', 'times the database was another one than before', 'what', (metrics) => ({
      found: metrics.databaseChanges,
    }));
    this.counter('abstentions', 'times nothing was said because the database had changed', 'what', (metrics) => ({
      said: metrics.abstentions,
    }));
    this.counter('dead_letters', 'messages put aside, by reason', 'reason', ({ deadLetters }) => deadLetters);
    this.gauge('prepared_branches', 'branches prepared at the last sweep', (metrics) => metrics.preparedBranches);
    this.gauge(
      'oldest_prepared_age_seconds',
      'age of the oldest prepared branch at the last sweep',
      (metrics) => metrics.oldestPreparedAgeMs / 1_000,
    );
    this.gauge('work_running', 'branches whose work runs', (metrics) => metrics.workRunning);
    this.gauge('work_waiting', 'branches whose work waits', (metrics) => metrics.workWaiting);
    this.gauge(
      'oldest_work_seconds',
      'how long the oldest running work has been running',
      (metrics) => metrics.oldestWorkMs / 1_000,
    );
    this.gauge(
      'oldest_decision_seconds',
      'how long the oldest decision is being carried out',
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
