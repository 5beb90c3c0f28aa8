export {
  joinMessage,
  joinProducer,
  joiningEachMessage,
  type DeliveredMessage,
  type JoinMessageOptions,
  type ProducerLike,
} from '@concordat/participant';
