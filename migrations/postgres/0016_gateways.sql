-- What gateways call messages of ours.

-- `name` is that of the channel, a blank, and what its gateway calls the message.
CREATE TABLE gateway_ids (
    name     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    delivery BIGINT NOT NULL,
    noted_at BIGINT NOT NULL
);

CREATE INDEX gateway_ids_noted ON gateway_ids (noted_at);
