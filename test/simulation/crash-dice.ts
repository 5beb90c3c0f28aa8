import { randomChance, randomInteger, type Clock, type Failpoints, type Random } from '@concordat/foundation';

/** What is thrown at each failpoint that a process passes: it may die right there, or be held up. */
export class CrashDice {
  /** probability that something happens at a failpoint */
  probability = 0;
  rolled = 0;

  constructor(
    private readonly random: Random,
    private readonly onHit: (name: string, action: string) => void,
  ) {}

  /**
   * @param clock of the process
   * @param kill ends the process, and has it started again some time later
   */
  failpoints(clock: Clock, kill: () => void): Failpoints {
    return {
      hit: (name) => {
        if (this.probability === 0 || !randomChance(this.random, this.probability)) return undefined;
        this.rolled++;
        if (randomChance(this.random, 0.3)) {
          this.onHit(name, 'delay');
          const delayMs = randomInteger(this.random, 1, 1_500);
          return new Promise((resolve) => void clock.setTimer(delayMs, resolve));
        }
        this.onHit(name, 'kill');
        kill();
        return new Promise(() => undefined); // nothing behind this point runs
      },
    };
  }
}
