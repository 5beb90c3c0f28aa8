export interface ParticipantHealth {
  /** everything below is good */
  readonly ready: boolean;
  readonly busConnected: boolean;
  readonly databaseReachable: boolean;
  /** messages are being fetched, and the broker or a coordinator has answered lately */
  readonly consuming: boolean;
  /** why it cannot consume, and what to do; absent when it can */
  readonly obstacle?: string;
  /** nothing is running that should have ended long ago */
  readonly working: boolean;
  /** age of the oldest running work or decision, in milliseconds */
  readonly oldestWorkMs: number;
  /**
   * The database was restored or has failed over: branches abstain in three-phase transactions that began before this;
   * an ISO date, null for none. Does not affect `ready`.
   */
  readonly abstainsBefore: string | null;
}

/** Why a participant is not ready, a sentence each, with what to do; empty when it is. */
export function reasonsNotReady(health: ParticipantHealth): readonly string[] {
  const { obstacle, databaseReachable, busConnected, consuming, working, oldestWorkMs } = health;
  const seconds = Math.round(oldestWorkMs / 1_000);
  const reasons: readonly (readonly [applies: boolean, sentence: string])[] = [
    [obstacle !== undefined, obstacle ?? ''],
    [!databaseReachable, 'the database does not answer: check the server, the network and the pool'],
    [
      !busConnected && obstacle === undefined,
      'the coordinators or the broker cannot be reached: check that they run, and the network',
    ],
    [
      busConnected && !consuming && obstacle === undefined,
      'nothing is consumed: the subscription does not stand, or had no answer for half a minute; the log says why',
    ],
    [!working, `work has been running for ${seconds} s and should have ended long ago: restart the process`],
  ];
  return reasons.flatMap(([applies, sentence]) => (applies ? [sentence] : []));
}
