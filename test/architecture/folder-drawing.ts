import type { Import } from './import-graph.js';
import { isTestCode } from './import-table.js';

/** The folders that are drawn, by the name of the picture in docs/images. */
export const DRAWN_FOLDERS: Readonly<Record<string, string>> = {
  'imports-commit-protocol': 'libs/commit-protocol/src',
  'imports-messaging': 'libs/messaging/src',
  'imports-transactions': 'apps/coordinator/src/transactions',
  'imports-raft-core': 'libs/raft/src/core',
};

export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly count: number;
}

const ROOM = { left: 280, width: 230, height: 64, gap: 26, top: 84 };
const LANE_WIDTH = 26;

/** The rooms of a folder: its folders, and its own files together, named after it. Code for tests is left out. */
export function roomsOf(folder: string, files: readonly string[]): ReadonlyMap<string, number> {
  const rooms = new Map<string, number>();
  for (const file of files.filter((name) => name.startsWith(`${folder}/`) && !isTestCode(name))) {
    const room = roomOf(folder, file);
    rooms.set(room, (rooms.get(room) ?? 0) + 1);
  }
  return rooms;
}

/** What imports go from room to room. */
export function arrowsOf(folder: string, imports: readonly Import[]): Arrow[] {
  const counts = new Map<string, Arrow>();
  for (const { from, to } of imports) {
    if (to === undefined || isTestCode(from) || isTestCode(to)) continue;
    if (!from.startsWith(`${folder}/`) || !to.startsWith(`${folder}/`)) continue;
    const [start, end] = [roomOf(folder, from), roomOf(folder, to)];
    if (start === end) continue;
    const key = `${start} ${end}`;
    counts.set(key, { from: start, to: end, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()];
}

/** The picture: rooms one below the other, importers above; arrows down on the right, and up on the left. */
export function drawFolder(folder: string, files: readonly string[], imports: readonly Import[]): string {
  const rooms = roomsOf(folder, files);
  const arrows = arrowsOf(folder, imports);
  const order = inOrder([...rooms.keys()].sort(), arrows);
  const sorted = arrows.sort((a, b) => order.indexOf(a.from) - order.indexOf(b.from) || (a.to < b.to ? -1 : 1));
  const down = sorted.filter(({ from, to }) => order.indexOf(from) < order.indexOf(to));
  const up = sorted.filter((arrow) => !down.includes(arrow));
  const width = ROOM.left + ROOM.width + 60 + down.length * LANE_WIDTH;
  const height = ROOM.top + order.length * (ROOM.height + ROOM.gap);
  const title = `${folder}: ${arrows.length} arrows between ${rooms.size} rooms`;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13">`,
    `  <title>${title}</title>`,
    `  <desc>${sorted.map(({ from, to, count }) => `${from} imports ${to}: ${count}`).join('. ')}.</desc>`,
    '  <defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#1d5fbf"/></marker></defs>',
    `  <rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `  <text x="20" y="30" font-size="15" font-weight="bold">${title}</text>`,
    '  <text x="20" y="52" fill="#52606d">numbers: imports, by the file</text>',
  ];
  for (const [place, room] of order.entries()) {
    const y = ROOM.top + place * (ROOM.height + ROOM.gap);
    lines.push(
      `  <rect x="${ROOM.left}" y="${y}" width="${ROOM.width}" height="${ROOM.height}" rx="6" fill="#eef4fc" stroke="#1d5fbf"/>`,
      `  <text x="${ROOM.left + 14}" y="${y + 28}" font-weight="bold">${room}</text>`,
      `  <text x="${ROOM.left + 14}" y="${y + 48}" fill="#52606d">${rooms.get(room)} files</text>`,
    );
  }
  for (const [lane, arrow] of down.entries()) lines.push(lineOf(arrow, lane, sorted, order, 1));
  for (const [lane, arrow] of up.entries()) lines.push(lineOf(arrow, lane, sorted, order, -1));
  return `${lines.join('\n')}\n</svg>\n`;
}

function lineOf(arrow: Arrow, lane: number, all: readonly Arrow[], order: readonly string[], side: 1 | -1): string {
  const edge = side === 1 ? ROOM.left + ROOM.width : ROOM.left;
  const x = edge + side * (30 + lane * LANE_WIDTH);
  const [start, end] = [portOf(arrow, arrow.from, all, order), portOf(arrow, arrow.to, all, order)];
  return [
    `  <path d="M${edge} ${start} H${x} V${end} H${edge + side * 2}" fill="none" stroke="#1d5fbf" marker-end="url(#head)"/>`,
    `  <rect x="${x - 9}" y="${(start + end) / 2 - 9}" width="18" height="18" fill="#ffffff"/>`,
    `  <text x="${x}" y="${(start + end) / 2 + 4}" text-anchor="middle">${arrow.count}</text>`,
  ].join('\n');
}

/** Every arrow has a height of its own at the room. */
function portOf(arrow: Arrow, room: string, all: readonly Arrow[], order: readonly string[]): number {
  const own = all.filter(({ from, to }) => from === room || to === room);
  const y = ROOM.top + order.indexOf(room) * (ROOM.height + ROOM.gap);
  return Math.round(y + ((own.indexOf(arrow) + 1) * ROOM.height) / (own.length + 1));
}

/** Whom the fewest of the others import comes first. */
function inOrder(rooms: readonly string[], arrows: readonly Arrow[]): string[] {
  const left = [...rooms];
  const order: string[] = [];
  while (left.length > 0) {
    const importedBy = (room: string): number =>
      arrows.filter(({ from, to }) => to === room && left.includes(from)).reduce((sum, { count }) => sum + count, 0);
    const next = left.reduce((best, room) => (importedBy(room) < importedBy(best) ? room : best));
    order.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return order;
}

function roomOf(folder: string, file: string): string {
  const [first = '', second] = file.slice(folder.length + 1).split('/');
  return second === undefined ? '(top)' : `${first}/`;
}
