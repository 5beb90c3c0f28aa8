import { Violation } from '@concordat/foundation/testing';
import type { OutcomeMessage } from '@concordat/commit-protocol';
import { DEAD_LETTER_HEADERS, DEAD_LETTER_TOPIC, OUTCOMES_TOPIC, decodeMessage } from '@concordat/messaging';
import type { MemoryRecord } from '@concordat/messaging/testing';
import { CLUSTER, NAMESPACE } from './cluster.js';
import { OTHER_CLUSTER } from './other-cluster.js';
import type { Client } from './clients.js';
import type { FaultPlan } from './faults.js';
import type { Intent } from './intent.js';
import type { OperationPayload } from './participant-node.js';
import { ACCOUNTS, OPENING_BALANCE, type World } from './world.js';

/** Whether nothing is open anywhere and all nodes have heard of everything. */
export function isSettled(world: World): boolean {
  const { coordinators, databases } = world;
  const indices = coordinators.map(({ node }) => node?.status());
  const leader = indices.find((status) => status?.leaderReady);
  if (!leader || indices.some((status) => status?.appliedIndex !== leader.lastIndex)) return false;
  if (databases.some(({ prepared, locks }) => prepared.size > 0 || locks.heldCount > 0)) return false;
  return coordinators.every(({ log }) => log?.state.openCount === 0 && log.state.locks.size === 0);
}

export function describeUnsettled(world: World, clients: readonly Client[]): string {
  const facts = [
    ...clients.flatMap(({ intents }) => intents.filter(({ fate }) => fate === 'open').map(({ id }) => `${id} waits`)),
    ...world.databases.map(({ name, prepared, locks }) => {
      return `${name} has ${prepared.size} prepared [${[...prepared.keys()].join(', ')}] and ${locks.heldCount} locks`;
    }),
    ...world.coordinators.map(({ nodeId, log, node }) => {
      const status = node?.status();
      const open = [...(log?.state.openTransactions() ?? [])].map((open) => JSON.stringify(open));
      const held = log?.state.locks.size ?? 0;
      const at = `${status?.role} term ${status?.term} applied ${status?.appliedIndex}`;
      return `node ${nodeId}: ${at} locks ${held} open ${open.join(' ')}`;
    }),
  ];
  return facts.join('\n  ');
}

/**
 * Nothing that was there at a time may be there any more, although there is always something new: no lock is held for
 * ever, no branch stays prepared, no transaction stays open. @throws Violation
 */
export function checkNothingOlderThan(world: World, time: number): void {
  const { clock, coordinators, databases } = world;
  // by the clocks of the group, which may run behind the truth for as long as they were set
  const wallTime = clock.now() - (clock.monotonic() - time);
  for (const { name, locks, prepared } of databases) {
    const old = [...prepared].find(([, { preparedAt }]) => preparedAt < time);
    if (old) throw new Violation(`AC5: ${name} has ${old[0]} prepared for ${clock.monotonic() - old[1].preparedAt} ms`);
    const held = locks.heldSinceBefore(time);
    if (held) throw new Violation(`no lock is held for ever: in ${name} ${held}`);
  }
  for (const { nodeId, log } of coordinators) {
    for (const { transactionId, createdAt, deadline } of log?.state.openTransactions() ?? []) {
      const old = Math.max(createdAt, deadline) < wallTime;
      if (old) throw new Violation(`AC5: node ${nodeId} has ${transactionId} open`);
    }
  }
}

/** All that must be true when everything has come to its end. @throws Violation */
export function checkEnd(world: World, clients: readonly Client[], plan: FaultPlan): void {
  checkIdentities(world);
  checkNodes(world);
  checkMoney(world);
  checkBooks(world);
  const intents = clients.flatMap((client) => client.intents);
  const exempt = exemptIntents(world);
  for (const intent of intents) if (!exempt.has(intent.id)) checkIntent(world, intent);
  checkOutcomes(world, plan);
  if (world.checker.failure) throw world.checker.failure;
}

/** Participants know that their databases are not the ones that they were. */
function checkIdentities({ databases }: World): void {
  for (const { name, identity, recognised } of databases) {
    if (recognised?.timeline !== identity.timeline)
      throw new Violation(`${name} is on timeline ${identity.timeline}, known is ${recognised?.timeline}`);
  }
}

function checkNodes(world: World): void {
  for (const { nodeId, log, manager, node } of world.coordinators) {
    if (!log || !manager || !node) throw new Violation(`node ${nodeId} is down at the end`);
    world.checker.replicas.compareState(nodeId, log, node.status().appliedIndex);
    const { alerts, waitingForKeys, open } = manager.figures();
    const { exemptions, mayMeetOld, clocksWereSet } = world.checker;
    const mayAlert = exemptions.count > 0 || mayMeetOld || clocksWereSet;
    if ((alerts > 0 && !mayAlert) || waitingForKeys > 0 || open > 0) {
      throw new Violation(`node ${nodeId} ends with ${alerts} alerts, ${waitingForKeys} waiting and ${open} open`);
    }
  }
}

/** The balances are what the committed transactions of the log make of the opening balances. */
function checkMoney(world: World): void {
  const expected = new Map<string, number>();
  for (const { name } of world.databases) {
    for (const account of ACCOUNTS) expected.set(`${name}/${account}`, OPENING_BALANCE);
  }
  const { exemptions, effects, transactions } = world.checker;
  const own = new Set<string>();
  for (const { decision, branches } of transactions.values()) {
    if (decision !== 'commit') continue;
    for (const [branchId, { participant, operations }] of branches) {
      if (exemptions.hasBranch(branchId)) continue; // it has the effect that it has
      if (operations.length === 0) own.add(branchId);
      for (const { operation, payload } of operations) {
        const { account, amount } = payload as unknown as OperationPayload;
        const change = operation === 'debit' ? -amount : operation === 'credit' ? amount : 0;
        add(expected, `${participant}/${account}`, change);
      }
    }
  }
  for (const { database, branchId, movements } of effects) {
    if (own.has(branchId) || exemptions.hasBranch(branchId))
      for (const { account, amount } of movements) add(expected, `${database.name}/${account}`, amount);
  }
  for (const { name, balances } of world.databases) {
    for (const [account, balance] of balances) {
      const wanted = expected.get(`${name}/${account}`);
      if (balance !== wanted) throw new Violation(`money: ${name}/${account} has ${balance}, not ${wanted}`);
    }
  }
}

/** What the log says of the end of a branch is what its database says. */
function checkBooks({ checker, databases }: World): void {
  const ledgers = new Map(databases.map(({ name, ledger }) => [name, ledger]));
  const forgotten = new Set(checker.ancient.map(({ transactionId }) => transactionId));
  for (const { transactionId, branches, endedIndex } of checker.transactions.values()) {
    if (endedIndex === undefined && !forgotten.has(transactionId))
      throw new Violation(`AC5: ${transactionId} is not open, and has never ended`);
    for (const [branchId, { participant, end }] of branches) {
      const outcome = ledgers.get(participant)?.get(branchId)?.outcome;
      // ended by hand after a restore had undone an end that the log has closed the books on
      if (checker.broughtBack.has(branchId) && checker.exemptions.hasBranch(branchId)) continue;
      if (checker.exemptions.hasLost(branchId)) continue; // it had ended when its database lost that
      const committed = end === 'committed' || end === 'heuristic-commit';
      if (end !== undefined && committed !== (outcome === 'committed')) {
        throw new Violation(
          `books: ${branchId} of ${transactionId} ended as ${end}, the ledger of ${participant} says ${outcome}`,
        );
      }
    }
  }
}

function add(balances: Map<string, number>, account: string, change: number): void {
  balances.set(account, (balances.get(account) ?? 0) + change);
}

/** Wishes of clients in which an operator meddled. */
function exemptIntents({ checker }: World): Set<unknown> {
  const { effects, exemptions, transactions } = checker;
  const found = new Set<unknown>();
  for (const { transactionId, intent } of transactions.values()) {
    if (exemptions.hasTransaction(transactionId)) found.add(intent);
  }
  for (const { transactionId, movements } of effects) {
    if (exemptions.hasTransaction(transactionId)) for (const { intent } of movements) found.add(intent);
  }
  return found;
}

/** C1 and C2, seen by the client: what it was told happened, all of it and once. */
function checkIntent(world: World, { id, fate, branches }: Intent): void {
  const effects = world.checker.effects.filter(({ movements }) => movements.some(({ intent }) => intent === id));
  const transactions = new Set(effects.map(({ transactionId }) => transactionId));
  if (transactions.size > 1) throw new Violation(`C2: ${id} had its effect ${transactions.size} times`);
  const writes = branches.filter(({ operation }) => operation !== 'read').length;
  const movements = effects.flatMap((effect) => effect.movements).length;
  if (movements !== 0 && movements !== writes) throw new Violation(`AC1: ${id} moved ${movements} of ${writes} times`);
  if (fate === 'committed' && movements !== writes) throw new Violation(`C1: ${id} was told committed, and it is not`);
  if ((fate === 'aborted' || fate === 'nothing') && movements > 0) {
    throw new Violation(`C1: ${id} was told ${fate}, and it is committed`);
  }
  if (fate === 'open') throw new Violation(`${id} never heard of its end`);
}

/** How many messages were put aside. */
export function deadLetterCount({ broker }: World): number {
  return broker.recordsOf(NAMESPACE.topic(DEAD_LETTER_TOPIC)).length;
}

/** Whether a dead letter is what the other cluster said, and was put aside for that. */
function isOfOtherCluster({ value, headers }: MemoryRecord): boolean {
  const said = value !== null && (JSON.parse(value.toString()) as { cluster?: unknown }).cluster === OTHER_CLUSTER;
  return said && headers?.[DEAD_LETTER_HEADERS.reason] === 'OTHER_CLUSTER';
}

/** One outcome, and always the same, for each ended transaction; and nothing that could not be read. */
function checkOutcomes(world: World, plan: FaultPlan): void {
  const { broker, checker } = world;
  const dead = broker.recordsOf(NAMESPACE.topic(DEAD_LETTER_TOPIC)).filter((letter) => !isOfOtherCluster(letter));
  if (dead.length > 0) throw new Violation(`${dead.length} messages are in the dead-letter topic`);
  if (world.roads.link === 'direct') return; // nothing is published without a broker
  const published = new Map<string, string>();
  for (const { value } of broker.recordsOf(NAMESPACE.topic(OUTCOMES_TOPIC))) {
    const { transactionId, outcome } = decodeMessage(CLUSTER, value) as OutcomeMessage;
    const before = published.get(transactionId);
    if (before !== undefined && before !== outcome) {
      throw new Violation(`${transactionId} was published as ${before} and as ${outcome}`);
    }
    published.set(transactionId, outcome);
  }
  for (const { transactionId, outcome } of checker.transactions.values()) {
    const found = published.get(transactionId);
    if (found !== undefined && found !== outcome) throw new Violation(`${transactionId} was published as ${found}`);
    if (found === undefined && outcome !== undefined && !plan.classes.has('message-loss')) {
      throw new Violation(`the outcome of ${transactionId} was never published`);
    }
  }
}
