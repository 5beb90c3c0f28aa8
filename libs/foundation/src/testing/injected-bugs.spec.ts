import { describe, expect, it } from '@jest/globals';
import { namesInPage, numbersInPage } from './injected-bugs.js';

const PAGE = `# A page

| bug   | what | found           |
| ----- | ---- | --------------- |
| early | a    | seed 7, storm   |
| late  | b    | the model       |
| count | c    | 12              |
`;

describe('the page of injected bugs', () => {
  it('has a name in each row', () => expect(namesInPage(PAGE)).toEqual(['early', 'late', 'count']));

  it('has the numbers of a column, of the rows that have one', () => {
    expect([...numbersInPage(PAGE, 2)]).toEqual([
      ['early', 7],
      ['count', 12],
    ]);
    expect([...numbersInPage(PAGE, 9)]).toEqual([]);
  });
});
