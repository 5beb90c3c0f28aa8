import type { Operation } from './history.js';
import type { StuckPoint } from './linearization-search.js';
import type { PreparedHistory } from './prepared-history.js';
import type { RegisterState } from './register-model.js';

/** operations shown before the one that cannot be explained, besides those that are concurrent with it */
const maximumEarlierShown = 12;
const maximumConcurrentShown = 30;
const maximumValueLength = 60;

/** What a person needs to judge a violation: the answer that nothing explains, and the operations around it. */
export function explainViolation(history: PreparedHistory, stuck: StuckPoint): string {
  const { key, operations, events } = history;
  const culprit = events[stuck.position]!.operation;
  const calledBefore = new Set<number>();
  const returnedBefore: number[] = [];
  for (const { type, operation } of events.slice(0, stuck.position)) {
    if (type === 'call') calledBefore.add(operation);
    else returnedBefore.push(operation);
  }
  for (const operation of returnedBefore) calledBefore.delete(operation);
  calledBefore.delete(culprit);
  const shown = [
    ...returnedBefore.slice(-maximumEarlierShown),
    ...[...calledBefore].slice(-maximumConcurrentShown),
    culprit,
  ].sort((left, right) => left - right);
  const left = calledBefore.size + returnedBefore.length + 1 - shown.length;
  return [
    `key ${JSON.stringify(key)}: no order of its ${operations.length} operations explains this answer:`,
    `  ${describe(operations[culprit]!)}`,
    `the value there could have been ${stuck.states.map(valueText).join(' or ')}`,
    'what went before, by the time of the call ("?": never answered, so it may have happened at any time or not):',
    ...(left > 0 ? [`  … ${left} more before these`] : []),
    ...shown.map((number) => `${number === culprit ? '->' : '  '}${describe(operations[number]!)}`),
  ].join('\n');
}

function describe(operation: Operation): string {
  const until = operation.returnedAt ?? '?';
  return `process ${operation.process} ${actionText(operation)} [${operation.calledAt} … ${until}]`;
}

function actionText(operation: Operation): string {
  const known = operation.returnedAt !== undefined;
  switch (operation.kind) {
    case 'read':
      return `read ${valueText(operation.output)}`;
    case 'write':
      return `wrote ${valueText(operation.input)}`;
    case 'cas': {
      const answer = known ? (operation.ok ? ', which it did' : ', which it refused') : '';
      return `asked to replace ${valueText(operation.expected)} by ${valueText(operation.input)}${answer}`;
    }
    case 'append': {
      const answer = known && operation.output !== undefined ? `, which made ${valueText(operation.output)}` : '';
      return `appended ${valueText(operation.input)}${answer}`;
    }
  }
}

/** Long values lose their beginning: appends show at the end. */
function valueText(value: RegisterState): string {
  if (value === undefined) return 'no value';
  if (value.length <= maximumValueLength) return JSON.stringify(value);
  return `${JSON.stringify(`…${value.slice(-maximumValueLength)}`)} (${value.length} characters)`;
}
