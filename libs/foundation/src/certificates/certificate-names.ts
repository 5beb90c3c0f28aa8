/** What a certificate may be used for: the role of its owner in the cluster. */
export const CERTIFICATE_ROLES = ['node', 'client', 'observer', 'operator', 'metrics', 'participant'] as const;
export type CertificateRole = (typeof CERTIFICATE_ROLES)[number];

/** One name of a certificate: its owner, and a role of the owner in a cluster. */
export interface CertificateName {
  readonly clusterName: string;
  readonly role: CertificateRole;
  /** for a node its id, for a participant its name */
  readonly name: string;
}

const URI = /^concordat:\/\/([^/]+)\/([a-z]+)\/([A-Za-z0-9][A-Za-z0-9._@-]{0,99})$/;

/**
 * The name as a certificate has it among its subject alternative names: `concordat://<cluster>/<role>/<name>`. It is
 * the form that the certificates of nodes have between each other, too.
 */
export function certificateUri({ clusterName, role, name }: CertificateName): string {
  const encoded = encodeURIComponent(clusterName).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `concordat://${encoded}/${role}/${name}`;
}

/**
 * The names of ours in a certificate.
 *
 * @param subjectAltName as Node.js prints it: entries like `URI:…`; a quoted entry is none of ours
 */
export function certificateUris(subjectAltName: string | undefined): string[] {
  const plain = (subjectAltName ?? '').replace(/"(?:[^"\\]|\\.)*"/g, '');
  return [...plain.matchAll(/(?<=^|, )URI:(concordat:[^,]*)(?=,|$)/g)].map(([, uri]) => uri!);
}

/** Undefined for a URI that names no role in a cluster. */
export function parseCertificateUri(uri: string): CertificateName | undefined {
  const [, encoded = '', roleText, name] = URI.exec(uri) ?? [];
  const role = CERTIFICATE_ROLES.find((known) => known === roleText);
  if (role === undefined || name === undefined) return undefined;
  try {
    return { clusterName: decodeURIComponent(encoded), role, name };
  } catch {
    return undefined;
  }
}

export type NamesInCluster =
  | { readonly ok: true; readonly name: string; readonly roles: readonly CertificateRole[] }
  /** a clause for the log */
  | { readonly ok: false; readonly fault: string };

/** Whom a certificate names in this cluster. All its names of ours must be of one owner and of this cluster. */
export function namesInCluster(subjectAltName: string | undefined, clusterName: string): NamesInCluster {
  const uris = certificateUris(subjectAltName);
  if (uris.length === 0) return { ok: false, fault: `it has no name concordat://${clusterName}/<role>/<name>` };
  const names = uris.map(parseCertificateUri);
  const strange = names.findIndex((name) => name === undefined);
  if (strange >= 0) return { ok: false, fault: `it has the name ${JSON.stringify(uris[strange]!.slice(0, 200))}` };
  const known = names.flatMap((name) => name ?? []);
  const foreign = known.find((name) => name.clusterName !== clusterName);
  if (foreign) {
    return { ok: false, fault: `it is of the cluster ${JSON.stringify(foreign.clusterName.slice(0, 100))}` };
  }
  const [first] = known;
  if (known.some(({ name }) => name !== first!.name)) return { ok: false, fault: 'its names are of several owners' };
  const roles = known.map(({ role }) => role);
  if (roles.includes('node') && roles.length > 1) {
    return { ok: false, fault: 'it names a node and something else; a node needs a certificate of its own' };
  }
  return { ok: true, name: first!.name, roles };
}

/** Why a certificate is none of a node of this cluster, as a clause; undefined when it is. @param nodeId of this one */
export function nodeNameFault(
  subjectAltName: string | undefined,
  clusterName: string,
  nodeId?: number,
): string | undefined {
  const names = namesInCluster(subjectAltName, clusterName);
  if (!names.ok) return names.fault;
  if (!names.roles.includes('node')) return `it is of ${names.roles.join(' and ')} ${names.name}, and of no node`;
  return nodeId === undefined || names.name === String(nodeId) ? undefined : `it is of node ${names.name}`;
}
