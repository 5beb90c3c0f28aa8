// One process of a replicated log under measurement; the benchmark starts it and talks to it over its IPC channel.
// It ends when the benchmark does.
import { answerCalls } from '../called-process.js';
import { closedLoop, type Measurement } from '../closed-loop.js';
import { BareMember } from './bare-member.js';
import { LockMember } from './lock-member.js';
import type { CallMessage, CallName, Calls, LoadLength, Member, MemberOptions } from './process-protocol.js';
import { RaftMember } from './raft-member.js';

const COMMAND_BYTES = 128;

let member: Member | undefined;
let written = 0;

function started(): Member {
  if (!member) throw new Error('the process was not started');
  return member;
}

function nextCommand(): Uint8Array {
  const command = Buffer.allocUnsafe(COMMAND_BYTES);
  command.fill(0x61);
  command.writeUInt32BE(written++ >>> 0, 0);
  return command;
}

/** Whoever proposes does so again once its command is committed. A refusal ends the measurement: it would not count. */
function write(proposers: number, length: LoadLength): Promise<Measurement> {
  const target = started();
  return closedLoop(proposers, length, async () => {
    await target.append(nextCommand());
    return undefined;
  });
}

function read(readers: number, length: LoadLength): Promise<Measurement> {
  const target = started();
  return closedLoop(readers, length, async () => {
    await target.read();
    return undefined;
  });
}

function memberOf(options: MemberOptions): Member {
  switch (options.kind) {
    case 'bare':
      return new BareMember(options);
    case 'raft':
      return new RaftMember(options);
    case 'locks':
      return new LockMember(options);
  }
}

async function answerTo(call: CallMessage): Promise<Calls[CallName]['answer']> {
  switch (call.name) {
    case 'hello':
      return null;
    case 'start':
      member = memberOf(call.request);
      await member.start();
      return null;
    case 'status':
      return started().status();
    case 'write':
      return write(call.request.proposers, call.request.length);
    case 'read':
      return read(call.request.readers, call.request.length);
    case 'compactions':
      return started().compactions();
    case 'digest':
      return started().digest();
    case 'stop':
      await member?.stop();
      return null;
  }
}

answerCalls<CallName>('stop', (call) => answerTo(call as CallMessage));
