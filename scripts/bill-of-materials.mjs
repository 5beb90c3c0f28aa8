import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runNpm } from './run-npm.mjs';

const MODULES = 'node_modules/';
const ARGUMENTS = ['sbom', '--sbom-format=cyclonedx', '--workspaces', '--package-lock-only', '--loglevel=error'];

/**
 * All that the packages bring with them, as a bill of materials (CycloneDX). npm makes it of everything that the lock
 * file has for the workspaces; what they do not need at run time is left out here. npm's own `--omit=dev` leaves out
 * packages that run, too: those that something else has for its development.
 *
 * @param packages as `readWorkspaces` returns them
 */
export function billOfMaterials(root, packages) {
  const bill = JSON.parse(runNpm(ARGUMENTS, root));
  const { packages: locked } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const needed = neededBy(
    packages.map(({ folder }) => folder),
    locked,
  );
  const ofRoot = bill.metadata.component['bom-ref'];
  bill.metadata.component.name = nameIn(ofRoot);
  bill.components = bill.components
    .filter((component) => needed.has(component['bom-ref']))
    .map((component) => ({ ...component, name: nameIn(component['bom-ref']) }));
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => ref === ofRoot || needed.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => needed.has(one)) }));
  return `${JSON.stringify(bill, null, 2)}\n`;
}

/** npm takes the name of a folder for that of a workspace. */
function nameIn(reference) {
  return reference.replace(/@[^@]*$/, '');
}

/** `name@version` of what is installed with these workspaces, as npm does it: with peers that are not optional. */
function neededBy(folders, locked) {
  const places = [...folders];
  for (const place of places) {
    for (const name of dependenciesOf(locked[place])) {
      const found = placeOf(name, place, locked);
      if (found !== undefined && !places.includes(found)) places.push(found);
    }
  }
  return new Set(places.map((place) => `${nameOf(place, locked)}@${locked[place].version}`));
}

function dependenciesOf({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }) {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name]?.optional);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

/** Where Node.js finds a package: in the nearest `node_modules` above. */
function placeOf(name, from, locked) {
  for (let folder = from; ; folder = above(folder)) {
    const entry = locked[`${folder === '' ? '' : `${folder}/`}${MODULES}${name}`];
    if (entry) return entry.link ? entry.resolved : `${folder === '' ? '' : `${folder}/`}${MODULES}${name}`;
    if (folder === '') return undefined; // optional, and not for this platform
  }
}

function above(folder) {
  const end = folder.lastIndexOf(MODULES);
  return end <= 0 ? '' : folder.slice(0, end - 1);
}

function nameOf(place, locked) {
  return locked[place].name ?? place.slice(place.lastIndexOf(MODULES) + MODULES.length);
}
