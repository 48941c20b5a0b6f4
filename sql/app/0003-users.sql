-- Users, what is known of them, and the tiers that they rise through. Columns are the architecture document's.
-- A UNIQUE constraint bears the name of the seeds' index on the same column: it is that index.

SET LOCAL ROLE migrator;

CREATE TABLE public.user_tiers (
    tier                 integer        PRIMARY KEY CHECK (tier >= 0 AND tier <= 5),
    name                 varchar(50)    NOT NULL UNIQUE,
    description          text,
    kyc_required         boolean        NOT NULL DEFAULT false,
    max_investment       numeric(18, 6) CHECK (max_investment > 0),
    max_total_investment numeric(18, 6) CHECK (max_total_investment > 0),
    features             jsonb          NOT NULL DEFAULT '{}',
    created_at           timestamptz    NOT NULL DEFAULT now(),
    updated_at           timestamptz    NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.user_tiers IS 'What a user of each tier may do';
COMMENT ON COLUMN public.user_tiers.tier IS '0, who has just registered, to 5';
COMMENT ON COLUMN public.user_tiers.name IS 'What people call it';
COMMENT ON COLUMN public.user_tiers.description IS 'What it takes, in words';
COMMENT ON COLUMN public.user_tiers.kyc_required IS 'Whether a verified KYC application is needed to have it';
COMMENT ON COLUMN public.user_tiers.max_investment IS 'The most in one investment; NULL: no limit';
COMMENT ON COLUMN public.user_tiers.max_total_investment IS 'The most in all investments together; NULL: no limit';
COMMENT ON COLUMN public.user_tiers.features IS 'What the application unlocks';
COMMENT ON COLUMN public.user_tiers.created_at IS 'When the row was made';
COMMENT ON COLUMN public.user_tiers.updated_at IS 'When the row was last changed';

INSERT INTO public.user_tiers (tier, name, kyc_required) VALUES
    (0, 'registered', false), (1, 'basic', false), (2, 'verified', true),
    (3, 'advanced', true), (4, 'professional', true), (5, 'institutional', true);

CREATE TABLE public.users (
    id                 uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    phone_hash         varchar(64) NOT NULL CONSTRAINT idx_users_phone_hash UNIQUE,
    blockchain_address varchar(42) NOT NULL CONSTRAINT idx_users_blockchain_address UNIQUE,
    tier               integer     NOT NULL DEFAULT 0 CHECK (tier >= 0 AND tier <= 5) REFERENCES public.user_tiers (tier),
    status             varchar(20) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.users IS 'Accounts: one phone, one wallet';
COMMENT ON COLUMN public.users.id IS 'What app.current_user_id is compared with';
COMMENT ON COLUMN public.users.phone_hash IS 'SHA-256 of the phone number, in hexadecimal; the number itself is nowhere';
COMMENT ON COLUMN public.users.blockchain_address IS 'The wallet, 0x and 40 hexadecimal digits; unique in any case of its letters';
COMMENT ON COLUMN public.users.tier IS 'See user_tiers';
COMMENT ON COLUMN public.users.status IS 'active, suspended or closed';
COMMENT ON COLUMN public.users.created_at IS 'When the user registered';
COMMENT ON COLUMN public.users.updated_at IS 'When the row was last changed';

CREATE INDEX idx_users_tier ON public.users (tier);
CREATE INDEX idx_users_status ON public.users (status);
CREATE INDEX idx_users_created_at ON public.users (created_at);
-- The same wallet in another case of its letters is the same wallet.
CREATE UNIQUE INDEX idx_users_blockchain_address_lower ON public.users (lower(blockchain_address));
CREATE INDEX idx_users_blockchain_address_trgm ON public.users USING gin (blockchain_address gin_trgm_ops);

CREATE TABLE public.user_profiles (
    user_id             uuid        PRIMARY KEY REFERENCES public.users (id) ON DELETE CASCADE,
    phone_number_masked varchar(20),
    country_code        varchar(3),
    registration_ip     inet,
    last_login_at       timestamptz,
    login_count         integer     NOT NULL DEFAULT 0 CHECK (login_count >= 0),
    device_fingerprints jsonb       NOT NULL DEFAULT '[]',
    preferences         jsonb       NOT NULL DEFAULT '{}',
    metadata            jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE public.user_profiles IS 'What is known of a user beside the account; goes with it';
COMMENT ON COLUMN public.user_profiles.user_id IS 'Whose';
COMMENT ON COLUMN public.user_profiles.phone_number_masked IS 'As support may see it: +20***7890';
COMMENT ON COLUMN public.user_profiles.country_code IS 'ISO 3166';
COMMENT ON COLUMN public.user_profiles.registration_ip IS 'Where the user registered from';
COMMENT ON COLUMN public.user_profiles.last_login_at IS 'NULL: never';
COMMENT ON COLUMN public.user_profiles.login_count IS 'How often, so far';
COMMENT ON COLUMN public.user_profiles.device_fingerprints IS 'Devices seen, a list';
COMMENT ON COLUMN public.user_profiles.preferences IS 'Settings of the user''s own';
COMMENT ON COLUMN public.user_profiles.metadata IS 'What the application keeps with it';

CREATE INDEX idx_user_profiles_phone_trgm ON public.user_profiles USING gin (phone_number_masked gin_trgm_ops);
-- The requirements have this index on users, which has no such column: it is here.
CREATE INDEX idx_user_metadata_gin ON public.user_profiles USING gin (metadata);
CREATE INDEX idx_user_profiles_last_login_at ON public.user_profiles (last_login_at);

CREATE TRIGGER user_tiers_updated_at BEFORE UPDATE ON public.user_tiers
    FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();
CREATE TRIGGER users_updated_at BEFORE UPDATE ON public.users
    FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();
