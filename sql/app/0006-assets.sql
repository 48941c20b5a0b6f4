-- Assets, and the money in them. Amounts are NUMERIC with six decimals, in the currency that stands beside them.

SET LOCAL ROLE migrator;

CREATE TABLE public.assets (
    id               uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    contract_address varchar(42)  NOT NULL CONSTRAINT idx_assets_contract_address UNIQUE,
    type             varchar(20)  NOT NULL CHECK (type IN ('investment', 'interest')),
    title            varchar(255) NOT NULL,
    description      text,
    category         varchar(50),
    location         varchar(255),
    image_url        varchar(500),
    status           varchar(20)  NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'closed', 'draft')),
    metadata         jsonb        NOT NULL DEFAULT '{}',
    created_by       uuid         REFERENCES public.users (id),
    created_at       timestamptz  NOT NULL DEFAULT now(),
    updated_at       timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.assets IS 'What can be invested in, or only shown interest for';
COMMENT ON COLUMN public.assets.id IS 'Key';
COMMENT ON COLUMN public.assets.contract_address IS 'Its contract; unique in any case of its letters';
COMMENT ON COLUMN public.assets.type IS 'investment or interest';
COMMENT ON COLUMN public.assets.title IS 'What people call it';
COMMENT ON COLUMN public.assets.description IS 'What it is';
COMMENT ON COLUMN public.assets.category IS 'What it is listed under';
COMMENT ON COLUMN public.assets.location IS 'Where it is';
COMMENT ON COLUMN public.assets.image_url IS 'Its picture';
COMMENT ON COLUMN public.assets.status IS 'active, paused, closed or draft';
COMMENT ON COLUMN public.assets.metadata IS 'What the application keeps with it';
COMMENT ON COLUMN public.assets.created_by IS 'The user who brought it in, if it was one';
COMMENT ON COLUMN public.assets.created_at IS 'When the row was made';
COMMENT ON COLUMN public.assets.updated_at IS 'When the row was last changed';

CREATE INDEX idx_assets_type ON public.assets (type);
CREATE INDEX idx_assets_category ON public.assets (category);
CREATE INDEX idx_assets_status ON public.assets (status);
CREATE INDEX idx_assets_created_by ON public.assets (created_by);
CREATE INDEX idx_assets_created_at ON public.assets (created_at);
CREATE UNIQUE INDEX idx_assets_contract_address_lower ON public.assets (lower(contract_address));
-- Searches of the admin panel: whole words over title, description and category; parts of a title.
CREATE INDEX idx_assets_search ON public.assets USING gin (to_tsvector(
    'english', title || ' ' || coalesce(description, '') || ' ' || coalesce(category, '')));
CREATE INDEX idx_assets_title_trgm ON public.assets USING gin (title gin_trgm_ops);

CREATE TABLE public.asset_details (
    asset_id           uuid           PRIMARY KEY REFERENCES public.assets (id) ON DELETE CASCADE,
    token_symbol       varchar(10),
    token_price        numeric(18, 6) CHECK (token_price >= 0),
    max_supply         bigint         CHECK (max_supply >= 0),
    expected_roi       numeric(5, 2),
    lockup_period      integer        CHECK (lockup_period >= 0),
    minimum_investment numeric(18, 6) CHECK (minimum_investment >= 0),
    soft_cap           numeric(18, 6) CHECK (soft_cap >= 0),
    deadline           timestamptz,
    contact_format     varchar(20)    CHECK (contact_format IN ('whatsapp', 'email')),
    contact_value      varchar(255),
    jurisdiction       varchar(100),
    spv_name           varchar(255),
    custody_type       varchar(100),
    min_tier_required  integer        NOT NULL DEFAULT 1 REFERENCES public.user_tiers (tier),
    legal_documents    jsonb          NOT NULL DEFAULT '[]',
    agreement_url      varchar(500),
    agreement_hash     varchar(66)
);
COMMENT ON TABLE public.asset_details IS 'Terms of an asset; goes with it';
COMMENT ON COLUMN public.asset_details.asset_id IS 'Of which';
COMMENT ON COLUMN public.asset_details.token_symbol IS 'Investment: its token';
COMMENT ON COLUMN public.asset_details.token_price IS 'Investment: for one token';
COMMENT ON COLUMN public.asset_details.max_supply IS 'Investment: tokens there will ever be';
COMMENT ON COLUMN public.asset_details.expected_roi IS 'Investment: percent a year';
COMMENT ON COLUMN public.asset_details.lockup_period IS 'Investment: days';
COMMENT ON COLUMN public.asset_details.minimum_investment IS 'Investment: the least at once';
COMMENT ON COLUMN public.asset_details.soft_cap IS 'Interest: what has to come together';
COMMENT ON COLUMN public.asset_details.deadline IS 'Interest: by when';
COMMENT ON COLUMN public.asset_details.contact_format IS 'Interest: whatsapp or email';
COMMENT ON COLUMN public.asset_details.contact_value IS 'Interest: number or address';
COMMENT ON COLUMN public.asset_details.jurisdiction IS 'Whose law';
COMMENT ON COLUMN public.asset_details.spv_name IS 'The company that holds it';
COMMENT ON COLUMN public.asset_details.custody_type IS 'How it is held';
COMMENT ON COLUMN public.asset_details.min_tier_required IS 'From which tier of user on';
COMMENT ON COLUMN public.asset_details.legal_documents IS 'Papers, a list';
COMMENT ON COLUMN public.asset_details.agreement_url IS 'What investors agree to';
COMMENT ON COLUMN public.asset_details.agreement_hash IS 'Hash of that text: 0x and 64 hexadecimal digits';

CREATE INDEX idx_asset_details_min_tier_required ON public.asset_details (min_tier_required);

CREATE TABLE public.asset_metrics (
    asset_id         uuid           PRIMARY KEY REFERENCES public.assets (id) ON DELETE CASCADE,
    total_invested   numeric(18, 6) NOT NULL DEFAULT 0 CHECK (total_invested >= 0),
    investor_count   integer        NOT NULL DEFAULT 0 CHECK (investor_count >= 0),
    interested_count integer        NOT NULL DEFAULT 0 CHECK (interested_count >= 0),
    performance_data jsonb          NOT NULL DEFAULT '{}',
    last_updated     timestamptz    NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.asset_metrics IS 'How an asset does, as the application counts it; goes with it';
COMMENT ON COLUMN public.asset_metrics.asset_id IS 'Of which';
COMMENT ON COLUMN public.asset_metrics.total_invested IS 'So far';
COMMENT ON COLUMN public.asset_metrics.investor_count IS 'By how many';
COMMENT ON COLUMN public.asset_metrics.interested_count IS 'Interest: how many asked';
COMMENT ON COLUMN public.asset_metrics.performance_data IS 'Figures of the asset''s own kind';
COMMENT ON COLUMN public.asset_metrics.last_updated IS 'When the row was last changed';

CREATE INDEX idx_asset_performance_gin ON public.asset_metrics USING gin (performance_data);
CREATE INDEX idx_asset_metrics_total_invested ON public.asset_metrics (total_invested DESC);

CREATE TABLE public.investments (
    id               uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid           NOT NULL REFERENCES public.users (id),
    asset_id         uuid           NOT NULL REFERENCES public.assets (id),
    amount           numeric(18, 6) NOT NULL CHECK (amount > 0),
    currency         varchar(10)    NOT NULL,
    transaction_hash varchar(66),
    block_number     bigint         CHECK (block_number >= 0),
    status           varchar(20)    NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'confirmed', 'failed', 'refunded')),
    invested_at      timestamptz    NOT NULL DEFAULT now(),
    confirmed_at     timestamptz,
    metadata         jsonb          NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.investments IS 'Who put how much into what';
COMMENT ON COLUMN public.investments.id IS 'Key';
COMMENT ON COLUMN public.investments.user_id IS 'Who';
COMMENT ON COLUMN public.investments.asset_id IS 'Into what';
COMMENT ON COLUMN public.investments.amount IS 'How much';
COMMENT ON COLUMN public.investments.currency IS 'Of what';
COMMENT ON COLUMN public.investments.transaction_hash IS 'Where it is on the chain; NULL: not there yet';
COMMENT ON COLUMN public.investments.block_number IS 'In which block';
COMMENT ON COLUMN public.investments.status IS 'pending, confirmed, failed or refunded';
COMMENT ON COLUMN public.investments.invested_at IS 'When';
COMMENT ON COLUMN public.investments.confirmed_at IS 'When the chain had it';
COMMENT ON COLUMN public.investments.metadata IS 'What the application keeps with it';

CREATE INDEX idx_investments_user_id ON public.investments (user_id);
CREATE INDEX idx_investments_asset_id ON public.investments (asset_id);
CREATE INDEX idx_investments_status ON public.investments (status);
CREATE INDEX idx_investments_invested_at ON public.investments (invested_at);
CREATE INDEX idx_investments_user_asset ON public.investments (user_id, asset_id);
CREATE INDEX idx_investments_transaction_hash ON public.investments (transaction_hash);

-- Not partitioned, though it only grows: a million rows are little, its key is referred to, and money is looked up by
-- user and by hash rather than by month.
CREATE TABLE public.transactions (
    id               uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid           NOT NULL REFERENCES public.users (id),
    asset_id         uuid           REFERENCES public.assets (id),
    investment_id    uuid           REFERENCES public.investments (id),
    type             varchar(20)    NOT NULL CHECK (type IN (
                         'deposit', 'withdrawal', 'transfer', 'investment', 'refund', 'payout', 'fee')),
    amount           numeric(18, 6) NOT NULL CHECK (amount > 0),
    currency         varchar(10)    NOT NULL,
    status           varchar(20)    NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'confirmed', 'failed', 'cancelled')),
    from_address     varchar(42),
    to_address       varchar(42),
    transaction_hash varchar(66),
    block_number     bigint         CHECK (block_number >= 0),
    created_at       timestamptz    NOT NULL DEFAULT now(),
    updated_at       timestamptz    NOT NULL DEFAULT now(),
    confirmed_at     timestamptz,
    metadata         jsonb          NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.transactions IS 'Every movement of a user''s money';
COMMENT ON COLUMN public.transactions.id IS 'Key';
COMMENT ON COLUMN public.transactions.user_id IS 'Whose money';
COMMENT ON COLUMN public.transactions.asset_id IS 'For which asset, if for any';
COMMENT ON COLUMN public.transactions.investment_id IS 'Of which investment, if of any';
COMMENT ON COLUMN public.transactions.type IS 'deposit, withdrawal, transfer, investment, refund, payout or fee';
COMMENT ON COLUMN public.transactions.amount IS 'How much; the type says which way';
COMMENT ON COLUMN public.transactions.currency IS 'Of what';
COMMENT ON COLUMN public.transactions.status IS 'pending, confirmed, failed or cancelled';
COMMENT ON COLUMN public.transactions.from_address IS 'From which wallet';
COMMENT ON COLUMN public.transactions.to_address IS 'To which wallet';
COMMENT ON COLUMN public.transactions.transaction_hash IS 'Where it is on the chain; NULL: not there, or not yet';
COMMENT ON COLUMN public.transactions.block_number IS 'In which block';
COMMENT ON COLUMN public.transactions.created_at IS 'When it was asked for';
COMMENT ON COLUMN public.transactions.updated_at IS 'When the row was last changed';
COMMENT ON COLUMN public.transactions.confirmed_at IS 'When it was final';
COMMENT ON COLUMN public.transactions.metadata IS 'What the application keeps with it';

CREATE INDEX idx_transactions_timestamp ON public.transactions (created_at DESC);
CREATE INDEX idx_transactions_user_id ON public.transactions (user_id, created_at DESC);
CREATE INDEX idx_transactions_asset_id ON public.transactions (asset_id);
CREATE INDEX idx_transactions_investment_id ON public.transactions (investment_id);
CREATE INDEX idx_transactions_transaction_hash ON public.transactions (transaction_hash);
CREATE INDEX idx_transactions_status ON public.transactions (status);
-- Reports by day: without, the planner expects a group for nearly each row, and sorts them all.
CREATE STATISTICS public.transactions_by_day ON ((created_at AT TIME ZONE 'UTC')::date), type FROM public.transactions;

CREATE TABLE public.investment_agreements (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id           uuid        NOT NULL REFERENCES public.users (id),
    asset_id          uuid        NOT NULL REFERENCES public.assets (id),
    investment_id     uuid        REFERENCES public.investments (id),
    agreement_version varchar(20) NOT NULL DEFAULT '1',
    agreement_url     varchar(500),
    agreement_hash    varchar(66) NOT NULL,
    signature         text,
    ip_address        inet,
    user_agent        text,
    accepted_at       timestamptz NOT NULL DEFAULT now(),
    metadata          jsonb       NOT NULL DEFAULT '{}',
    UNIQUE (user_id, asset_id, agreement_hash)
);
COMMENT ON TABLE public.investment_agreements IS 'Who agreed to which text, and when';
COMMENT ON COLUMN public.investment_agreements.id IS 'Key';
COMMENT ON COLUMN public.investment_agreements.user_id IS 'Who';
COMMENT ON COLUMN public.investment_agreements.asset_id IS 'For which asset';
COMMENT ON COLUMN public.investment_agreements.investment_id IS 'The investment that it was for; NULL: none was made yet';
COMMENT ON COLUMN public.investment_agreements.agreement_version IS 'Which edition of the text';
COMMENT ON COLUMN public.investment_agreements.agreement_url IS 'Where the text is';
COMMENT ON COLUMN public.investment_agreements.agreement_hash IS 'Hash of the text that was agreed to';
COMMENT ON COLUMN public.investment_agreements.signature IS 'By the user''s wallet, if it was signed';
COMMENT ON COLUMN public.investment_agreements.ip_address IS 'Where from';
COMMENT ON COLUMN public.investment_agreements.user_agent IS 'With what';
COMMENT ON COLUMN public.investment_agreements.accepted_at IS 'When';
COMMENT ON COLUMN public.investment_agreements.metadata IS 'What the application keeps with it';

CREATE INDEX idx_investment_agreements_asset_id ON public.investment_agreements (asset_id);
CREATE INDEX idx_investment_agreements_investment_id ON public.investment_agreements (investment_id);

CREATE TRIGGER assets_updated_at BEFORE UPDATE ON public.assets
    FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();
CREATE TRIGGER asset_metrics_last_updated BEFORE UPDATE ON public.asset_metrics
    FOR EACH ROW EXECUTE FUNCTION ops.set_last_updated();
CREATE TRIGGER transactions_updated_at BEFORE UPDATE ON public.transactions
    FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();
