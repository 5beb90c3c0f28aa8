import type { Finding } from '@concordat/participant';

/** What was found about one thing: a database, a coordinator, a topic. */
export type DiagnosisLine = { readonly subject: string; readonly name: string } & Finding;
