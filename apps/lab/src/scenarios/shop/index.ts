export { bookChecks, leftIn, readBooks, type Books, type ShopDatabases } from './books.js';
export { checkOut, ShopLoad, type Cart, type Checkout } from './load.js';
export { stepsOn } from './steps.js';
