import type { RaftCore } from '../../raft-core.js';
import type { NodeId } from '../../types.js';
import { between, FIRST_INCARNATION } from '../members.js';
import { Fields, parseInteger, parseIntegers, wordsOf } from './fields.js';
import { parseChange } from './membership-words.js';
import { formatMessage, parseMessage } from './message-notation.js';
import { freshNode, newcomer, nodeWithPast } from './node-options.js';
import { parseData } from './notation.js';
import { describeDisk, describeFollowers, describeLog, describeStanding, describeStatus } from './reports.js';
import { ScriptError } from './script-error.js';
import type { ScriptedGroup } from './scripted-group.js';
import type { ScriptedNode } from './scripted-node.js';
import { parseWay, select } from './selection.js';

type Run = (group: ScriptedGroup, words: readonly string[]) => void;

interface Command {
  /** what is written behind the command's name */
  readonly usage: string;
  readonly fewestWords: number;
  readonly mostWords: number;
  readonly run: Run;
}

function command(usage: string, fewestWords: number, mostWords: number, run: Run): Command {
  return { usage, fewestWords, mostWords, run };
}

/** `all`, or ids with commas between. */
function nodesOf(group: ScriptedGroup, word: string): ScriptedNode[] {
  return word === 'all' ? [...group.nodes.values()] : parseIntegers(word).map((nodeId) => group.node(nodeId));
}

/** A command that does something to each of the nodes named first. */
function forEachNode(run: (group: ScriptedGroup, node: ScriptedNode, words: readonly string[]) => void): Run {
  return (group, [nodes = '', ...words]) => {
    for (const node of nodesOf(group, nodes)) run(group, node, words);
  };
}

function input(
  verb: string,
  act: (core: RaftCore, words: readonly string[], say: (text: string) => void) => void,
): Run {
  return forEachNode((group, node, words) =>
    group.heading(`${node.nodeId} ${verb}`, () => node.act((core) => act(core, words, (text) => group.print(text)))),
  );
}

function describeRefusal({ refused, reason }: { readonly refused: string; readonly reason: string }): string {
  return `refused: ${refused} (${reason})`;
}

function tick(group: ScriptedGroup, node: ScriptedNode, count: number): void {
  group.heading(`${node.nodeId} ticks (${count})`, () => node.act((core) => core.tick()), false);
}

/** Ticks a node until it stands for election, or again. */
function campaign(group: ScriptedGroup, node: ScriptedNode): void {
  if (node.core.role === 'leader') throw new ScriptError(`node ${node.nodeId} leads`);
  const before = group.lines.length;
  for (let count = 1; count <= 2 * node.options.electionTicks; count++) {
    tick(group, node, count);
    if (group.lines.length > before) return;
  }
  throw new ScriptError(`node ${node.nodeId} does not stand for election`);
}

/** Makes a node the leader with the votes of all other voters, who may be played by hand. */
function lead(group: ScriptedGroup, node: ScriptedNode): void {
  campaign(group, node);
  for (const type of ['pre-vote-reply', 'request-vote-reply'] as const) {
    const { term, configuration } = node.core;
    for (const from of configuration.voters.filter((voter) => voter !== node.nodeId))
      group.deliver({ type, ...between(from, node.nodeId), term, granted: true });
  }
  if (node.core.role !== 'leader') throw new ScriptError(`node ${node.nodeId} was not elected`);
}

function isolate(group: ScriptedGroup, isolated: readonly NodeId[]): void {
  for (const { nodeId } of group.nodes.values()) {
    if (isolated.includes(nodeId)) continue;
    for (const other of isolated) {
      group.cut(nodeId, other);
      group.cut(other, nodeId);
    }
  }
}

/** Everything a script may say. */
const commands: Readonly<Record<string, Command>> = {
  // --- nodes
  nodes: command('<id> <id> … [option=value …]: voters of a new group', 1, Infinity, (group, words) => {
    const options = words.filter((word) => word.includes('='));
    const nodeIds = words.filter((word) => !word.includes('=')).map(parseInteger);
    const before = group.lines.length;
    for (const nodeId of nodeIds) group.add(freshNode(nodeId, nodeIds, new Fields(options)));
    group.lines.length = before; // a start like any other
  }),
  node: command(
    '<id> [members=… | log=terms voters=… learners=… snapshot=index@term] [term= vote= commit=] [option=value …]',
    1,
    Infinity,
    (group, [nodeId = '', ...words]) => {
      const fields = new Fields(words);
      const isFresh = fields.has('members') || words.every((word) => !/^(log|snapshot|term)=/.test(word));
      const id = parseInteger(nodeId);
      group.add(isFresh ? freshNode(id, fields.integers('members'), fields) : nodeWithPast(id, fields));
      fields.end();
    },
  ),
  found: command(
    '<id> knows=<ids> [incarnation=] [option=value …]: an empty disk, and willing to found a group',
    2,
    Infinity,
    (group, [nodeId = '', ...words]) => {
      const fields = new Fields(words);
      group.add(newcomer(parseInteger(nodeId), fields.integer('incarnation', FIRST_INCARNATION), true, fields));
      fields.end();
    },
  ),
  wipe: command(
    '<id> <incarnation> knows=<ids> [founds] [option=value …]: comes back with an empty disk',
    3,
    Infinity,
    (group, [nodeId = '', incarnation = '', ...words]) => {
      const fields = new Fields(words);
      const founds = fields.flag('founds');
      group.replace(newcomer(parseInteger(nodeId), parseInteger(incarnation), founds, fields));
      fields.end();
    },
  ),
  timeout: command('<nodes> <ticks>: what they draw from now on', 2, 2, (group, [nodes = '', ticks = '']) => {
    for (const node of nodesOf(group, nodes)) node.options.timeouts.ticks = parseInteger(ticks);
  }),
  crash: command('<nodes>', 1, 1, (group, [nodes = '']) => {
    for (const node of nodesOf(group, nodes)) group.heading(`${node.nodeId} crashes`, () => node.crash());
  }),
  restart: command('<nodes>', 1, 1, (group, [nodes = '']) => {
    for (const node of nodesOf(group, nodes)) group.heading(`${node.nodeId} starts`, () => node.boot());
  }),

  // --- time
  tick: command('<nodes> [times]', 1, 2, (group, [nodes = '', times = '1']) => {
    for (const node of nodesOf(group, nodes)) {
      for (let count = 1; count <= parseInteger(times); count++) tick(group, node, count);
    }
  }),
  pass: command('<times>: every running node ticks, and all messages arrive', 1, 1, (group, [times = '']) => {
    for (let count = 1; count <= parseInteger(times); count++) {
      for (const node of group.nodes.values()) if (node.isRunning) tick(group, node, count);
      group.settle();
    }
  }),
  campaign: command('<node>: ticks until it stands for election', 1, 1, (group, [nodeId = '']) =>
    campaign(group, group.node(parseInteger(nodeId))),
  ),
  elect: command('<node>: campaign, then settle', 1, 1, (group, [nodeId = '']) => {
    const node = group.node(parseInteger(nodeId));
    campaign(group, node);
    group.settle();
    if (node.core.role !== 'leader') throw new ScriptError(`node ${nodeId} was not elected`);
  }),
  lead: command('<node>: campaign, and all voters vote for it', 1, 1, (group, [nodeId = '']) =>
    lead(group, group.node(parseInteger(nodeId))),
  ),

  // --- requests
  propose: command(
    '<node> "command" … | (n bytes) …',
    2,
    Infinity,
    input('takes proposals', (core, words, say) => {
      const appended = core.propose(words.map(parseData));
      if ('refused' in appended) return say(describeRefusal(appended));
      const { firstIndex, count } = appended;
      say(`appends ${count} of ${words.length} from ${firstIndex} on`);
    }),
  ),
  read: command(
    '<node> <id>',
    2,
    2,
    input('is asked for a read', (core, [id = ''], say) => {
      if (!core.readIndex(parseInteger(id))) say('refused: nobody can be asked now');
    }),
  ),
  transfer: command(
    '<node> <target>',
    2,
    2,
    input('is asked to transfer its leadership', (core, [target = ''], say) => {
      const refusal = core.transferLeadership(parseInteger(target));
      say(refusal ? describeRefusal(refusal) : `transfers leadership to ${target}`);
    }),
  ),
  'hand-over': command(
    '<node>',
    1,
    1,
    input('hands over', (core, _words, say) => {
      const target = core.handOver();
      say(target === undefined ? 'to nobody' : `transfers leadership to ${target}`);
    }),
  ),
  change: command(
    '<node> add-learner=id[:priority] | promote=id | demote=id | remove=id …',
    1,
    Infinity,
    input('is asked to change the membership', (core, words, say) => {
      const outcome = core.changeMembership(words.map(parseChange));
      say('refused' in outcome ? describeRefusal(outcome) : `appends the change at ${outcome.index}`);
    }),
  ),

  // --- messages
  message: command('<from>-><to> <type> term=… …: from a node played by hand', 3, Infinity, (group, words) =>
    group.deliver(parseMessage(words)),
  ),
  deliver: command('[first n|last n] [from->to] [type]', 0, 4, (group, words) => {
    const { selected, others } = select(group.wires, words);
    group.wires = [...others];
    for (const message of selected) group.deliver(message);
  }),
  drop: command('[first n|last n] [from->to] [type]', 0, 4, (group, words) => {
    const { selected, others } = select(group.wires, words);
    group.wires = [...others];
    for (const message of selected) group.lines.push(`dropped: ${formatMessage(message)}`);
  }),
  duplicate: command('[first n|last n] [from->to] [type]', 0, 4, (group, words) => {
    group.wires = [...group.wires, ...select(group.wires, words).selected];
  }),
  reverse: command(
    '[first n|last n] [from->to] [type]: the selected ones go to the end, backwards',
    0,
    4,
    (group, words) => {
      const { selected, others } = select(group.wires, words);
      group.wires = [...others, ...[...selected].reverse()];
    },
  ),
  settle: command('delivers until nothing is on its way', 0, 0, (group) => group.settle()),
  cut: command('<from>-><to>: what is sent that way is lost', 1, 1, (group, [way = '']) => {
    const { from, to } = parseWay(way);
    const all = [...group.nodes.keys()];
    for (const sender of from ?? all) for (const receiver of to ?? all) group.cut(sender, receiver);
  }),
  isolate: command('<nodes>: cuts them off the others', 1, 1, (group, [nodes = '']) =>
    isolate(
      group,
      nodesOf(group, nodes).map(({ nodeId }) => nodeId),
    ),
  ),
  heal: command('joins all wires again', 0, 0, (group) => group.heal()),

  // --- disks
  hold: command('<nodes> [snapshots]: writes, or work on snapshots, wait for finish', 1, 2, (group, words) => {
    for (const node of nodesOf(group, words[0]!)) {
      if (isAboutSnapshots(words)) node.holdsSnapshots = true;
      else node.holdsWrites = true;
    }
  }),
  finish: command('<nodes> [snapshots]: what is held is done, once', 1, 2, (group, words) => {
    for (const node of nodesOf(group, words[0]!)) {
      if (isAboutSnapshots(words)) group.heading(`${node.nodeId} goes on with a snapshot`, () => node.finishSnapshot());
      else group.heading(`${node.nodeId} finishes its write`, () => node.finishWrite());
    }
  }),
  release: command('<nodes>: nothing is held any more', 1, 1, (group, [nodes = '']) => {
    for (const node of nodesOf(group, nodes))
      group.heading(`${node.nodeId} is held no more`, () => node.release(), false);
  }),
  compact: command(
    '<nodes> <index> [snapshot=index] [size=bytes]: takes a snapshot and forgets the log up to index',
    2,
    4,
    (group, [nodes = '', indexWord = '', ...words]) => {
      const index = parseInteger(indexWord);
      const fields = new Fields(words);
      const [snapshotIndex, sizeBytes] = [fields.integer('snapshot', index), fields.integer('size', 20)];
      fields.end();
      for (const node of nodesOf(group, nodes))
        group.heading(`${node.nodeId} compacts`, () => node.compact(index, snapshotIndex, sizeBytes));
    },
  ),

  // --- reports
  status: report(describeStatus),
  standing: report(describeStanding),
  followers: report(describeFollowers),
  log: report(describeLog),
  disk: report(describeDisk),
  messages: command('what is on its way', 0, 0, (group) =>
    group.lines.push(...(group.wires.length === 0 ? ['none'] : group.wires.map(formatMessage))),
  ),
};

function report(describe: (node: ScriptedNode) => readonly string[]): Command {
  return command('[nodes]', 0, 1, (group, [nodes = 'all']) => {
    for (const node of nodesOf(group, nodes)) group.lines.push(...describe(node));
  });
}

function isAboutSnapshots([, what]: readonly string[]): boolean {
  if (what !== undefined && what !== 'snapshots') throw new ScriptError(`${what} cannot be held; only snapshots can`);
  return what === 'snapshots';
}

/** Runs one line; `quietly` before it keeps its output back. What it prints ends up in the lines of the group. */
export function runCommand(group: ScriptedGroup, line: string): void {
  const [first = '', ...others] = wordsOf(line);
  const isQuiet = first === 'quietly';
  const [name = '', ...words] = isQuiet ? others : [first, ...others];
  if (!Object.hasOwn(commands, name)) throw new ScriptError(`${name} is no command`);
  const { usage, fewestWords, mostWords, run } = commands[name]!;
  if (words.length < fewestWords || words.length > mostWords) throw new ScriptError(`usage: ${name} ${usage}`);
  const before = group.lines.length;
  run(group, words);
  if (isQuiet) group.lines.length = before;
}
