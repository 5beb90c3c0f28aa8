/** For models of a participant's database: its rows, and what an acceptor does by them. */
export { judgeOpening, judgeRequest, type Judgement } from '../postgres/acceptor-judgement.js';
export type { AcceptorRow, AcceptorTrace } from '../postgres/statements/rows.js';
export {
  FakeDatabaseError,
  FakeService,
  FakeSession,
  GlobalSystem,
  KEY as GLOBAL_TEST_KEY,
} from '../global/testing/global-system.js';
export { coordinatorFacts, databaseFacts } from '../checks/testing/sample-facts.js';
