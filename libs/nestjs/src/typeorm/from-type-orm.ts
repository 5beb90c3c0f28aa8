import type { FactoryProvider, ModuleMetadata } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from '@concordat/participant';
import type { ConcordatAsyncOptions, ConcordatOptions } from '../global/options.js';

/** What `ConcordatModule` needs beside the DataSources. */
type OtherOptions = Omit<ConcordatOptions, 'postgres' | 'connectionName'>;

/** The DataSources of `TypeOrmModule`, by their `name`. */
export interface TypeOrmSources extends Pick<ConcordatOptions, 'connectionName'>, Pick<ModuleMetadata, 'imports'> {
  /** whose database is that of the participant; default: the one without a name */
  readonly dataSource?: string;
  /** further DataSources of the same database, whose work is to join */
  readonly joiningDataSources?: readonly string[];
}

/** The other options as they are, or made from providers. */
export type TypeOrmOptions = TypeOrmSources &
  (
    | OtherOptions
    | {
        readonly inject: NonNullable<FactoryProvider['inject']>;
        readonly useFactory: FactoryProvider<OtherOptions>['useFactory'];
      }
  );

/**
 * The options of `ConcordatModule` with the DataSources of `TypeOrmModule`:
 * `ConcordatModule.forRootAsync(fromTypeOrm({ participant: 'orders', coordinators: […] }))`.
 */
export function fromTypeOrm(options: TypeOrmOptions): ConcordatAsyncOptions {
  const { dataSource, joiningDataSources = [], connectionName, imports, ...others } = options;
  const tokens = [dataSource, ...joiningDataSources].map((name) => getDataSourceToken(name));
  const { inject, make } =
    'useFactory' in others
      ? { inject: others.inject, make: others.useFactory }
      : { inject: [], make: (): OtherOptions => others };
  return {
    ...(connectionName !== undefined && { connectionName }),
    ...(imports && { imports }),
    inject: [...tokens, ...inject],
    useFactory: async (...given: unknown[]) => {
      const [postgres, ...further] = given.slice(0, tokens.length) as [DataSource, ...DataSource[]];
      const made = await make(...given.slice(tokens.length));
      return { ...made, postgres, joining: [...further, ...(made.joining ?? [])] };
    },
  };
}
