/** Handlers use few texts, again and again; parameters carry what varies. */
const MAXIMUM_REMEMBERED = 1_000;

/** `judge`, called once for each text of a statement, as long as not too many are remembered. */
export function rememberByText<Judgement>(judge: (text: string) => Judgement): (text: string) => Judgement {
  const remembered = new Map<string, { readonly judgement: Judgement }>();
  return (text) => {
    const known = remembered.get(text);
    if (known) return known.judgement;
    const judgement = judge(text);
    if (remembered.size >= MAXIMUM_REMEMBERED) remembered.clear();
    remembered.set(text, { judgement });
    return judgement;
  };
}
