/** A fault that is switched on. */
export interface Switch extends Disposable {
  /** how often it has happened */
  readonly hits: number;
  /** Resolves when it has happened for the first time; never, if it does not. */
  readonly happened: Promise<void>;
  /** It does not happen any more. What has happened stays. */
  off(): void;
}

/** The side of a switch that makes it happen. */
export class SwitchState implements Switch {
  hits = 0;
  readonly happened: Promise<void>;
  isOn = true;
  private tell: () => void = () => undefined;

  /** @param onOff called once, when it is switched off */
  constructor(private readonly onOff: () => void = () => undefined) {
    this.happened = new Promise((resolve) => (this.tell = resolve));
  }

  hit(): void {
    this.hits++;
    this.tell();
  }

  off(): void {
    if (!this.isOn) return;
    this.isOn = false;
    this.onOff();
  }

  [Symbol.dispose](): void {
    this.off();
  }
}
