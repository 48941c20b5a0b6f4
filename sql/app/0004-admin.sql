-- Who runs the platform, what they may do, and what they did by their own account. What was changed in the data is
-- audit_trail's to say (0009), which asks nobody.

SET LOCAL ROLE migrator;

CREATE TABLE public.admin_users (
    id                 uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    email              varchar(255) NOT NULL CONSTRAINT idx_admin_users_email UNIQUE,
    name               varchar(255) NOT NULL,
    role               varchar(50)  NOT NULL
                       CHECK (role IN ('super_admin', 'asset_manager', 'kyc_verifier', 'auditor', 'viewer')),
    permissions        jsonb        NOT NULL DEFAULT '[]',
    blockchain_address varchar(42),
    password_hash      varchar(255),
    is_active          boolean      NOT NULL DEFAULT true,
    last_login_at      timestamptz,
    created_at         timestamptz  NOT NULL DEFAULT now(),
    updated_at         timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.admin_users IS 'People of the admin panel';
COMMENT ON COLUMN public.admin_users.id IS 'What app.current_admin_id names';
COMMENT ON COLUMN public.admin_users.email IS 'Login; unique in any case of its letters';
COMMENT ON COLUMN public.admin_users.name IS 'What people call them';
COMMENT ON COLUMN public.admin_users.role IS 'Which of admin_permissions they have';
COMMENT ON COLUMN public.admin_users.permissions IS 'What they have beyond their role, a list';
COMMENT ON COLUMN public.admin_users.blockchain_address IS 'The wallet they sign with, if any';
COMMENT ON COLUMN public.admin_users.password_hash IS 'bcrypt; NULL: cannot log in by password';
COMMENT ON COLUMN public.admin_users.is_active IS 'Whether they may log in at all';
COMMENT ON COLUMN public.admin_users.last_login_at IS 'NULL: never';
COMMENT ON COLUMN public.admin_users.created_at IS 'When the row was made';
COMMENT ON COLUMN public.admin_users.updated_at IS 'When the row was last changed';

CREATE INDEX idx_admin_users_role ON public.admin_users (role);
CREATE UNIQUE INDEX idx_admin_users_email_lower ON public.admin_users (lower(email));

CREATE TABLE public.admin_sessions (
    id            uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    admin_id      uuid         NOT NULL REFERENCES public.admin_users (id) ON DELETE CASCADE,
    session_token varchar(255) NOT NULL UNIQUE,
    ip_address    inet,
    user_agent    text,
    expires_at    timestamptz  NOT NULL,
    created_at    timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.admin_sessions IS 'Who is logged in to the admin panel';
COMMENT ON COLUMN public.admin_sessions.id IS 'Key';
COMMENT ON COLUMN public.admin_sessions.admin_id IS 'Whose session';
COMMENT ON COLUMN public.admin_sessions.session_token IS 'The secret of the session, best its hash';
COMMENT ON COLUMN public.admin_sessions.ip_address IS 'Where from';
COMMENT ON COLUMN public.admin_sessions.user_agent IS 'With what';
COMMENT ON COLUMN public.admin_sessions.expires_at IS 'Not valid from then on';
COMMENT ON COLUMN public.admin_sessions.created_at IS 'When they logged in';

CREATE INDEX idx_admin_sessions_admin_id ON public.admin_sessions (admin_id);
CREATE INDEX idx_admin_sessions_expires_at ON public.admin_sessions (expires_at);

CREATE TABLE public.admin_permissions (
    id          uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    role        varchar(50)  NOT NULL
                CHECK (role IN ('super_admin', 'asset_manager', 'kyc_verifier', 'auditor', 'viewer')),
    resource    varchar(50)  NOT NULL,
    action      varchar(50)  NOT NULL,
    description text,
    created_at  timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (role, resource, action)
);
COMMENT ON TABLE public.admin_permissions IS 'What each role of the admin panel may do';
COMMENT ON COLUMN public.admin_permissions.id IS 'Key';
COMMENT ON COLUMN public.admin_permissions.role IS 'As in admin_users';
COMMENT ON COLUMN public.admin_permissions.resource IS 'assets, kyc, users …; * for all';
COMMENT ON COLUMN public.admin_permissions.action IS 'read, create, update, delete, approve …; * for all';
COMMENT ON COLUMN public.admin_permissions.description IS 'Why';
COMMENT ON COLUMN public.admin_permissions.created_at IS 'When it was granted';

-- Not partitioned: thousands of rows, kept for seven years, and its key stays the seeds' id.
CREATE TABLE public.admin_logs (
    id            uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    admin_id      uuid         REFERENCES public.admin_users (id),
    action        varchar(100) NOT NULL,
    resource_type varchar(50),
    resource_id   varchar(255),
    old_values    jsonb,
    new_values    jsonb,
    ip_address    inet,
    user_agent    text,
    created_at    timestamptz  NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.admin_logs IS 'What admins did, in the words of the admin panel; added to, never changed';
COMMENT ON COLUMN public.admin_logs.id IS 'Key';
COMMENT ON COLUMN public.admin_logs.admin_id IS 'Who; NULL: the system, or somebody of before the migration';
COMMENT ON COLUMN public.admin_logs.action IS 'What, in the panel''s words';
COMMENT ON COLUMN public.admin_logs.resource_type IS 'To what kind of thing';
COMMENT ON COLUMN public.admin_logs.resource_id IS 'To which of them';
COMMENT ON COLUMN public.admin_logs.old_values IS 'As it was';
COMMENT ON COLUMN public.admin_logs.new_values IS 'As it is now';
COMMENT ON COLUMN public.admin_logs.ip_address IS 'Where from';
COMMENT ON COLUMN public.admin_logs.user_agent IS 'With what';
COMMENT ON COLUMN public.admin_logs.created_at IS 'When; the production document calls it timestamp';

CREATE INDEX idx_admin_logs_admin_id ON public.admin_logs (admin_id);
CREATE INDEX idx_admin_logs_action ON public.admin_logs (action);
-- idx_admin_logs_timestamp of the production document is this one, read backwards.
CREATE INDEX idx_admin_logs_created_at ON public.admin_logs (created_at);
CREATE INDEX idx_admin_logs_resource ON public.admin_logs (resource_type, resource_id);

CREATE TRIGGER admin_users_updated_at BEFORE UPDATE ON public.admin_users
    FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();
