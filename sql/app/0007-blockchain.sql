-- The chain as it was read: blocks, transactions, events of contracts, and calls of them.
--
-- None of these is partitioned. What makes a block or a transaction itself is its number and its hash, and a partitioned
-- table could only keep them unique together with a time. They grow by tens of thousands a year.
-- Nothing refers to blockchain_blocks by a foreign key: a reader may meet a transaction before its block.

SET LOCAL ROLE migrator;

CREATE TABLE public.blockchain_blocks (
    number            bigint      PRIMARY KEY CHECK (number >= 0),
    hash              varchar(66) NOT NULL UNIQUE,
    parent_hash       varchar(66),
    nonce             varchar(18),
    sha3_uncles       varchar(66),
    logs_bloom        text,
    transactions_root varchar(66),
    state_root        varchar(66),
    receipts_root     varchar(66),
    miner             varchar(42),
    difficulty        numeric(36, 0),
    total_difficulty  numeric(36, 0),
    size              bigint,
    extra_data        text,
    gas_limit         bigint,
    gas_used          bigint,
    timestamp         timestamptz,
    transaction_count integer     NOT NULL DEFAULT 0 CHECK (transaction_count >= 0)
);
COMMENT ON TABLE public.blockchain_blocks IS 'Blocks';
COMMENT ON COLUMN public.blockchain_blocks.number IS 'Height';
COMMENT ON COLUMN public.blockchain_blocks.hash IS 'Its hash';
COMMENT ON COLUMN public.blockchain_blocks.parent_hash IS 'Hash of the one before';
COMMENT ON COLUMN public.blockchain_blocks.nonce IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.sha3_uncles IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.logs_bloom IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.transactions_root IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.state_root IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.receipts_root IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.miner IS 'Who made it';
COMMENT ON COLUMN public.blockchain_blocks.difficulty IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.total_difficulty IS 'Of the chain up to here';
COMMENT ON COLUMN public.blockchain_blocks.size IS 'Bytes';
COMMENT ON COLUMN public.blockchain_blocks.extra_data IS 'As in the header';
COMMENT ON COLUMN public.blockchain_blocks.gas_limit IS 'The most gas';
COMMENT ON COLUMN public.blockchain_blocks.gas_used IS 'The gas that was used';
COMMENT ON COLUMN public.blockchain_blocks.timestamp IS 'When it was made';
COMMENT ON COLUMN public.blockchain_blocks.transaction_count IS 'Transactions in it';

CREATE INDEX idx_blockchain_blocks_timestamp ON public.blockchain_blocks (timestamp);

CREATE TABLE public.blockchain_transactions (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    hash              varchar(66) NOT NULL CONSTRAINT idx_blockchain_transactions_hash UNIQUE,
    block_number      bigint      NOT NULL CHECK (block_number >= 0),
    block_hash        varchar(66),
    transaction_index integer     CHECK (transaction_index >= 0),
    from_address      varchar(42),
    to_address        varchar(42),
    value             numeric(36, 18),
    gas_used          bigint,
    gas_price         bigint,
    transaction_type  varchar(50),
    status            varchar(20) NOT NULL DEFAULT 'confirmed',
    timestamp         timestamptz,
    metadata          jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.blockchain_transactions IS 'Transactions';
COMMENT ON COLUMN public.blockchain_transactions.id IS 'Key';
COMMENT ON COLUMN public.blockchain_transactions.hash IS 'Its hash';
COMMENT ON COLUMN public.blockchain_transactions.block_number IS 'In which block';
COMMENT ON COLUMN public.blockchain_transactions.block_hash IS 'That block''s hash';
COMMENT ON COLUMN public.blockchain_transactions.transaction_index IS 'Where in the block, from 0';
COMMENT ON COLUMN public.blockchain_transactions.from_address IS 'Who sent it';
COMMENT ON COLUMN public.blockchain_transactions.to_address IS 'To whom; NULL: a contract was made';
COMMENT ON COLUMN public.blockchain_transactions.value IS 'In whole coins, to the wei';
COMMENT ON COLUMN public.blockchain_transactions.gas_used IS 'The gas that was used';
COMMENT ON COLUMN public.blockchain_transactions.gas_price IS 'In wei';
COMMENT ON COLUMN public.blockchain_transactions.transaction_type IS 'investment, transfer, withdrawal …';
COMMENT ON COLUMN public.blockchain_transactions.status IS 'As the chain has it';
COMMENT ON COLUMN public.blockchain_transactions.timestamp IS 'When its block was made';
COMMENT ON COLUMN public.blockchain_transactions.metadata IS 'What the reader keeps with it';

CREATE INDEX idx_blockchain_transactions_block_number ON public.blockchain_transactions (block_number);
-- With the time: the newest of a wallet, without sorting all that it ever did.
CREATE INDEX idx_blockchain_transactions_from_address ON public.blockchain_transactions (from_address, timestamp DESC);
CREATE INDEX idx_blockchain_transactions_to_address ON public.blockchain_transactions (to_address, timestamp DESC);
CREATE INDEX idx_blockchain_transactions_timestamp ON public.blockchain_transactions (timestamp);

CREATE TABLE public.blockchain_events (
    id               uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    contract_address varchar(42) NOT NULL,
    event_type       varchar(50) NOT NULL,
    transaction_hash varchar(66) NOT NULL,
    log_index        integer     NOT NULL CHECK (log_index >= 0),
    block_number     bigint      NOT NULL CHECK (block_number >= 0),
    topics           jsonb       NOT NULL DEFAULT '[]',
    event_data       jsonb       NOT NULL DEFAULT '{}',
    timestamp        timestamptz,
    processed_at     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (transaction_hash, log_index)
);
COMMENT ON TABLE public.blockchain_events IS 'What contracts have logged; read again, an event is still one row';
COMMENT ON COLUMN public.blockchain_events.id IS 'Key';
COMMENT ON COLUMN public.blockchain_events.contract_address IS 'Which contract';
COMMENT ON COLUMN public.blockchain_events.event_type IS 'Its name in the contract';
COMMENT ON COLUMN public.blockchain_events.transaction_hash IS 'In which transaction';
COMMENT ON COLUMN public.blockchain_events.log_index IS 'Where in the block''s log, from 0';
COMMENT ON COLUMN public.blockchain_events.block_number IS 'In which block';
COMMENT ON COLUMN public.blockchain_events.topics IS 'As logged';
COMMENT ON COLUMN public.blockchain_events.event_data IS 'As decoded';
COMMENT ON COLUMN public.blockchain_events.timestamp IS 'When its block was made';
COMMENT ON COLUMN public.blockchain_events.processed_at IS 'When the application has acted on it; NULL: not yet';
COMMENT ON COLUMN public.blockchain_events.created_at IS 'When it was read';

CREATE INDEX idx_blockchain_events_contract ON public.blockchain_events (contract_address, event_type);
CREATE INDEX idx_blockchain_events_block_number ON public.blockchain_events (block_number);
CREATE INDEX idx_blockchain_events_timestamp ON public.blockchain_events (timestamp);
CREATE INDEX idx_blockchain_events_unprocessed ON public.blockchain_events (created_at) WHERE processed_at IS NULL;
CREATE INDEX idx_blockchain_events_data_gin ON public.blockchain_events USING gin (event_data jsonb_path_ops);

CREATE TABLE public.contract_interactions (
    id               uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    contract_address varchar(42)  NOT NULL,
    function_name    varchar(100) NOT NULL,
    caller_address   varchar(42),
    user_id          uuid         REFERENCES public.users (id) ON DELETE SET NULL,
    transaction_hash varchar(66),
    block_number     bigint       CHECK (block_number >= 0),
    parameters       jsonb        NOT NULL DEFAULT '{}',
    result           jsonb,
    gas_used         bigint,
    status           varchar(20)  NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'failed')),
    error_message    text,
    created_at       timestamptz  NOT NULL DEFAULT now(),
    completed_at     timestamptz
);
COMMENT ON TABLE public.contract_interactions IS 'Calls that the platform has made of contracts';
COMMENT ON COLUMN public.contract_interactions.id IS 'Key';
COMMENT ON COLUMN public.contract_interactions.contract_address IS 'Which contract';
COMMENT ON COLUMN public.contract_interactions.function_name IS 'Which of its functions';
COMMENT ON COLUMN public.contract_interactions.caller_address IS 'From which wallet';
COMMENT ON COLUMN public.contract_interactions.user_id IS 'For whom, if for a user';
COMMENT ON COLUMN public.contract_interactions.transaction_hash IS 'In which transaction; NULL: only read, or not sent';
COMMENT ON COLUMN public.contract_interactions.block_number IS 'In which block';
COMMENT ON COLUMN public.contract_interactions.parameters IS 'With what';
COMMENT ON COLUMN public.contract_interactions.result IS 'What came back';
COMMENT ON COLUMN public.contract_interactions.gas_used IS 'The gas that was used';
COMMENT ON COLUMN public.contract_interactions.status IS 'pending, succeeded or failed';
COMMENT ON COLUMN public.contract_interactions.error_message IS 'Why it failed';
COMMENT ON COLUMN public.contract_interactions.created_at IS 'When it was called';
COMMENT ON COLUMN public.contract_interactions.completed_at IS 'When it came to an end';

CREATE INDEX idx_contract_interactions_contract ON public.contract_interactions (contract_address, function_name);
CREATE INDEX idx_contract_interactions_user_id ON public.contract_interactions (user_id);
CREATE INDEX idx_contract_interactions_transaction_hash ON public.contract_interactions (transaction_hash);
CREATE INDEX idx_contract_interactions_created_at ON public.contract_interactions (created_at);
