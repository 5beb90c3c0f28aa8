/** The name of the `ConcordatModule` without a `connectionName`. */
export const DEFAULT_CONNECTION = 'default';

/** Which `ConcordatModule` of the application is meant, where it has several. */
export interface ConnectionOptions {
  /** as in `ConcordatModule.forRoot({ connectionName })`; default: the module without one */
  readonly connectionName?: string;
}
