import { randomInteger, randomItem, type Random } from '@concordat/foundation';
import { encodeFrame } from '../message-encoder.js';
import { sampleMessages } from './sample-messages.js';

/** Sound frames to start from: one for each sample message, and one with them all. */
export function sampleFrames(): readonly Buffer[] {
  return [...sampleMessages.map((message) => encodeFrame([message])), encodeFrame(sampleMessages), encodeFrame([], 7)];
}

type Mutation = (random: Random, frame: Buffer, originals: readonly Buffer[]) => Buffer;

const flipBit: Mutation = (random, frame) => {
  const copy = Buffer.from(frame);
  const at = randomInteger(random, 0, copy.length - 1);
  copy[at] = copy[at]! ^ (1 << randomInteger(random, 0, 7));
  return copy;
};

const setByte: Mutation = (random, frame) => {
  const copy = Buffer.from(frame);
  copy[randomInteger(random, 0, copy.length - 1)] = randomItem(random, [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    random.uint32() & 0xff,
  ]);
  return copy;
};

const truncate: Mutation = (random, frame) => frame.subarray(0, randomInteger(random, 1, frame.length));

const removeBytes: Mutation = (random, frame) => {
  const from = randomInteger(random, 0, frame.length - 1);
  const to = Math.min(frame.length, from + randomInteger(random, 1, 8));
  return frame.length > to - from ? Buffer.concat([frame.subarray(0, from), frame.subarray(to)]) : frame;
};

/** The beginning of this frame with the end of another. */
const splice: Mutation = (random, frame, originals) => {
  const other = randomItem(random, originals);
  return Buffer.concat([
    frame.subarray(0, randomInteger(random, 1, frame.length)),
    other.subarray(randomInteger(random, 0, other.length - 1)),
  ]);
};

/** A whole other frame in the middle of this one: frames that follow each other are one frame. */
const insertFrame: Mutation = (random, frame, originals) => {
  const at = randomItem(random, [0, frame.length, randomInteger(random, 0, frame.length)]);
  return Buffer.concat([frame.subarray(0, at), randomItem(random, originals), frame.subarray(at)]);
};

/** A number as long as protobuf allows, and sometimes longer. */
const insertNumber: Mutation = (random, frame) => {
  const at = randomInteger(random, 0, frame.length);
  const digits = Buffer.alloc(randomInteger(random, 1, 11), 0xff);
  digits[digits.length - 1] = randomInteger(random, 0, 0x7f);
  return Buffer.concat([frame.subarray(0, at), digits, frame.subarray(at)]);
};

const mutations: readonly Mutation[] = [
  flipBit,
  flipBit,
  setByte,
  truncate,
  removeBytes,
  splice,
  insertFrame,
  insertNumber,
];

/** A sound frame with one to three injuries; most are malformed then, some are not. */
export function mutateFrame(random: Random, originals: readonly Buffer[]): Buffer {
  let frame = randomItem(random, originals);
  for (let count = randomInteger(random, 1, 3); count > 0; count--)
    frame = randomItem(random, mutations)(random, frame, originals);
  return frame;
}
