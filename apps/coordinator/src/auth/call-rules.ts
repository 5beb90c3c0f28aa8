import type { Role } from './credentials/roles.js';

/** Who may make a call. */
export interface CallRule {
  /** one of them is enough; `everyone`: nobody is asked who it is */
  readonly roles: 'everyone' | readonly Role[];
  /** asked by load balancers and orchestrators all the time, and never refused for it */
  readonly isProbe?: true;
  /** what a role may do of it, where that is not all */
  readonly but?: string;
  /** for operators alone: it is audited with its body */
  readonly isOperation?: true;
  /** with `force=true` in its query it is an operation, too: for operators only, also where others may call it without */
  readonly isForcible?: true;
}

const READERS = ['observer', 'operator'] as const;
const EVERYONE: CallRule = { roles: 'everyone' };
const PROBE: CallRule = { ...EVERYONE, isProbe: true };
const OPERATION: CallRule = { roles: ['operator'], isOperation: true };
const OWN = '`client`: those that it began; `participant`: those that it has joined';
const OWN_READ: CallRule = { roles: ['client', 'participant', ...READERS], but: OWN };
const LOCK: CallRule = { roles: ['client', 'participant', 'operator'] };
const HELD_LOCK: CallRule = {
  ...LOCK,
  but: 'those that it has taken; `operator`: with `force=true` those of others, too',
  isForcible: true,
};

/**
 * Every route of a coordinator, and who may call it. The table in docs/security.md is made from it. A route without a
 * rule is refused to everybody.
 */
export const CALL_RULES: Readonly<Record<string, CallRule>> = {
  'POST /v1/transactions': { roles: ['client'] },
  'POST /v1/transactions/execute': { roles: ['client'] },
  'POST /v1/transactions/:id/branches': {
    roles: ['client', 'participant'],
    but: '`client`: operations, in those that it began; `participant`: branches of its own name, in those to which it is [invited](#invitations), or in any',
  },
  'POST /v1/transactions/:id/commit': {
    roles: ['client'],
    but: 'those that it began; it names only branches of its own `participant` roles',
  },
  // a participant could vote no as well
  'POST /v1/transactions/:id/abort': {
    roles: ['client', 'participant'],
    but: `${OWN}, or names a branch of its own for, as it joins`,
  },
  'POST /v1/transactions/:id/resolve': OPERATION,
  'GET /v1/transactions': OWN_READ,
  'GET /v1/transactions/:id': OWN_READ,
  'GET /v1/transactions/:id/events': OWN_READ,
  'GET /v1/events': OWN_READ,
  'GET /v1/in-doubt': { roles: READERS },
  'PUT /v1/locks/:name': LOCK,
  'POST /v1/locks/:name/renew': HELD_LOCK,
  'DELETE /v1/locks/:name': HELD_LOCK,
  'GET /v1/locks': {
    roles: ['client', 'participant', ...READERS],
    but: '`client`, `participant`: those that it has taken',
  },
  'GET /v1/cluster': { roles: ['client', 'participant', 'node', ...READERS] },
  'POST /v1/cluster/members': OPERATION,
  'DELETE /v1/cluster/members/:nodeId': OPERATION,
  'POST /v1/cluster/leader': OPERATION,
  'GET /metrics': { roles: ['metrics', ...READERS] },
  'GET /debug/failpoints': { roles: ['operator'] },
  'PUT /debug/failpoints': OPERATION,
  'GET /healthz': PROBE,
  'GET /readyz': PROBE,
  'GET /openapi.json': EVERYONE,
  'GET /docs': EVERYONE,
  'GET /docs/': EVERYONE,
  'GET /docs/start.js': EVERYONE,
  'GET /docs/swagger-ui.css': EVERYONE,
  'GET /docs/swagger-ui-bundle.js': EVERYONE,
};

const RULES = new Map(Object.entries(CALL_RULES));

/** The rule of a route; reading only the headers is reading. Undefined: nobody may call it. */
export function ruleOf(method: string, route: string): CallRule | undefined {
  return RULES.get(`${method === 'HEAD' ? 'GET' : method} ${route}`);
}
