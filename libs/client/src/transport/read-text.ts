/** Pages of a list end far below it; what is longer was not sent by a coordinator. */
const MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024;

/** The whole body as text. @throws RangeError for one without end */
export async function readText(response: Response, maximumBytes = MAXIMUM_ANSWER_BYTES): Promise<string> {
  if (response.body === null) return '';
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const reader = response.body.getReader();
  let text = '';
  try {
    for (let sizeBytes = 0; ;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      sizeBytes += value.byteLength;
      if (sizeBytes > maximumBytes) throw new RangeError(`the answer has more than ${maximumBytes} bytes`);
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  }
}
