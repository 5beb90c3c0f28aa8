import type { Acceptor, Ballot, BallotAnswer, BallotRequest } from '@concordat/commit-protocol';
import type { ActionKind } from './action-kinds.js';
import type { Actors, Message } from './actors.js';
import type { DatabaseOperation } from './branch-database.js';
import type { Draft } from './layout.js';

/** A message in words, such as `commit to branch 2` or `vote yes of branch 1`. */
function describeMessage(actors: Actors, message: Message): string {
  const branch = actors.branchOf(message) + 1;
  switch (message.type) {
    case 'prepare':
      return `prepare to branch ${branch} (term ${message.epoch.term})`;
    case 'decision':
      return `${message.decision} to branch ${branch}`;
    case 'vote':
      return `vote ${message.vote} of branch ${branch}`;
    case 'done':
      return `done (${message.end}) of branch ${branch}`;
    case 'inquiry':
      return `inquiry of branch ${branch}`;
    case 'ballot-request':
      return `${describeRequest(message.request)} of ${describeProposer(actors, message.proposer)} to branch ${branch}`;
    case 'ballot-answer':
      return `${describeAnswer(message.answer)} of branch ${branch} to ${describeProposer(actors, message.proposer)}`;
    case 'branches-decided':
      return `the branches decided ${message.decision}, says branch ${branch}`;
    default:
      return `${message.type} to branch ${branch}`;
  }
}

function describeBallot({ round, proposer }: Ballot): string {
  return `${round}.${proposer}`;
}

function describeRequest(request: BallotRequest): string {
  const value = request.type === 'accept' ? ` ${request.value}` : '';
  return `ballot ${describeBallot(request.ballot)}, ${request.type}${value}`;
}

function describeAnswer(answer: BallotAnswer): string {
  switch (answer.type) {
    case 'decided':
      return `"decided ${answer.decision}"`;
    case 'outbid':
      return `"ballot ${describeBallot(answer.ballot)} is outbid by ${describeBallot(answer.promised)}"`;
    case 'promised': {
      const { accepted } = answer;
      const earlier = accepted ? `, accepted ${accepted.value} in ${describeBallot(accepted.ballot)}` : '';
      const dissent = answer.dissents ? ', without a vote' : '';
      return `"ballot ${describeBallot(answer.ballot)}: promised${earlier}${dissent}"`;
    }
    case 'accepted':
    case 'abstains':
      return `"ballot ${describeBallot(answer.ballot)}: ${answer.type}"`;
  }
}

function describeProposer(actors: Actors, proposer: Acceptor | undefined): string {
  return proposer ? `branch ${actors.placeOf(proposer.branchId) + 1}` : 'the coordinators';
}

function describeOperation(operation: DatabaseOperation | undefined): string {
  if (!operation) return 'nothing';
  switch (operation.type) {
    case 'record-vote':
      return `record-vote (${operation.vote})`;
    case 'answer-ballot':
      return `answer-ballot (${describeRequest(operation.request)})`;
    default:
      return operation.type;
  }
}

function describeProposal(actors: Actors, node: number, place: number): string {
  const record = actors.nodes.at(node).proposed.at(place);
  if (record?.type === 'pre-commit') return `pre-commit of ballot ${describeBallot(record.ballot)}`;
  return record?.type === 'decide' ? `decide ${record.decision}` : (record?.type ?? 'nothing');
}

/** An action in words. Costs something, so it is only asked for when a trace is wanted. */
export function describeAction(actors: Actors, draft: Draft, kind: ActionKind, subject: number): string {
  const slot = draft.branches[subject];
  const inHand = slot && actors.processes.at(slot.process).inHand;
  switch (kind) {
    case 'begin':
      return 'a client begins the transaction at the leader';
    case 'commit-record':
      return `the log takes ${describeProposal(actors, draft.leader, 0)}, and the leader applies it`;
    case 'fail-proposal':
      return `the log certainly does not take ${describeProposal(actors, draft.leader, -1)}`;
    case 'leader-dies':
    case 'leader-deposed': {
      const proposals = actors.nodes.at(draft.leader).proposed.length;
      const fate = proposals > 0 ? `; ${subject} of ${proposals} proposals are in the log` : '';
      return `the leader ${kind === 'leader-dies' ? 'dies' : 'is deposed and does not know it'}, term ${draft.term + 1} begins${fate}`;
    }
    case 'deadline-passes':
      return 'the deadline passes';
    case 'deadline-fires':
      return "the leader's deadline timer fires";
    case 'deadline-fires-at-deposed':
      return "the deposed leader's deadline timer fires";
    case 'resend':
      return "the leader's resend timer fires";
    case 'resend-of-deposed':
      return "the deposed leader's resend timer fires";
    case 'deliver':
      return `arrives: ${describeMessage(actors, actors.message(subject))}`;
    case 'deliver-and-keep':
      return `arrives, and will come again: ${describeMessage(actors, actors.message(subject))}`;
    case 'deliver-to-deposed':
      return `arrives at the deposed leader: ${describeMessage(actors, actors.message(subject))}`;
    case 'answer-yes':
    case 'answer-no':
    case 'answer-read-only': {
      const open = slot && inHand && actors.databases.at(slot.database).runsHandler(inHand);
      const what = open ? `, the handler comes to ${kind.slice('answer-'.length)}` : '';
      return `the database of branch ${subject + 1} carries out ${describeOperation(inHand)}${what}`;
    }
    case 'break-connection':
      return `the connection of branch ${subject + 1} breaks during ${describeOperation(inHand)}`;
    case 'late-operation':
      return `the database of branch ${subject + 1} carries out the late operation`;
    case 'late-operation-ends':
      return `the late operation of branch ${subject + 1} ends without effect`;
    case 'drop-work':
      return `the work of branch ${subject + 1} is dropped before it began`;
    case 'participant-dies':
      return `the process of branch ${subject + 1} dies${inHand ? ` during ${describeOperation(inHand)}` : ''}`;
    case 'inquire':
      return `the sweeper of branch ${subject + 1} asks about its prepared transaction`;
    case 'waits-too-long':
      return `branch ${subject + 1} has waited too long and is to open a ballot`;
    case 'hand-commits':
      return `an operator commits the prepared transaction of branch ${subject + 1}`;
    case 'forgets':
      return `the database of branch ${subject + 1} forgets everything, and its participant knows`;
    case 'forgets-unnoticed':
      return `the database of branch ${subject + 1} forgets everything, and nobody knows`;
    case 'hand-aborts':
      return `an operator rolls back the prepared transaction of branch ${subject + 1}`;
  }
}

/** A state in words, with no numbers that depend on the order in which a world met it. */
export function describeState(actors: Actors, draft: Draft): string {
  const { late, refused, impatient, branchesDecided, told, left, branches, messages, leader, deposed, log, term } =
    draft;
  return JSON.stringify({
    log: actors.logs.keyAt(log),
    leader: actors.nodes.keyAt(leader),
    deposed: deposed >= 0 ? actors.nodes.keyAt(deposed) : undefined,
    term,
    late,
    refused,
    impatient,
    branchesDecided,
    told,
    left,
    branches: branches.map(({ process, database, said }) => [
      actors.processes.keyAt(process),
      actors.databases.keyAt(database),
      said,
    ]),
    messages: messages.map((message) => describeMessage(actors, actors.message(message))).sort(),
  });
}
