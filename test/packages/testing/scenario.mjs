import { startTestCoordinator, startTestParticipant } from '@concordat/testing';

/** The same test under each runner: a payment that is refused leaves no order, over a crash of the coordinator. */
export async function scenario(equal) {
  const coordinator = await startTestCoordinator();
  const orders = await startTestParticipant({
    coordinator,
    participant: 'orders',
    operations: { create: ({ order }, data) => data.set(order, 'open') },
  });
  const payments = await startTestParticipant({
    coordinator,
    participant: 'payments',
    operations: { pay: ({ order }, data) => data.set(order, 'paid') },
  });
  await coordinator.participantsReady(['orders', 'payments']);
  const checkout = async (order) => {
    const answer = await fetch(`${coordinator.url}/v1/transactions/execute?wait=ended`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': order },
      body: JSON.stringify({
        branches: [
          { participant: 'orders', operation: 'create', payload: { order } },
          { participant: 'payments', operation: 'pay', payload: { order } },
        ],
      }),
    });
    return answer.status;
  };

  coordinator.abortNext({ participant: 'payments', participantCode: 'CARD_REFUSED' });
  equal(await checkout('first'), 409);
  equal(orders.get('first'), undefined);

  const crash = coordinator.crashAfter('commit');
  const connection = await checkout('second').catch((error) => error.message);
  equal(connection, 'fetch failed');
  await crash.happened;
  await coordinator.recover();
  await coordinator.expectNothingInDoubt();
  equal([orders.get('second'), payments.get('second')].join(), 'open,paid');

  await Promise.all([orders.stop(), payments.stop()]);
  await coordinator.stop();
}
