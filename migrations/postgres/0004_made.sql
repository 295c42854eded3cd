-- Every message and request that was ever queued is counted when it is (state `made`), so that it shows if one is lost: they are as
-- many as wait, were sent, failed, or were dropped with a reason.
INSERT INTO delivery_counts (bucket, journey, channel, template, state, count)
SELECT bucket, journey, channel, template, 'made', COUNT(*) FROM deliveries
GROUP BY bucket, journey, channel, template;
