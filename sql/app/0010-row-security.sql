-- Who may do what, and to whose rows. The table of it is in docs/guides/databases.md, and the tests have their own.
--
-- FORCE: the policies hold for the owner of the tables too, who has none and so sees nothing of anybody. A migration
-- that has to change rows here runs without SET ROLE, as the superuser, whom no policy holds.

SET LOCAL ROLE migrator;

-- The application, within the rows of one user. What a user must not decide, such as a tier, is no column of its grant.
GRANT SELECT, INSERT (id, phone_hash, blockchain_address), UPDATE (phone_hash, blockchain_address)
    ON public.users TO app_user;
GRANT SELECT, INSERT, UPDATE ON public.user_profiles TO app_user;
GRANT SELECT, INSERT (id, user_id, metadata) ON public.kyc_applications TO app_user;
GRANT SELECT, INSERT ON public.kyc_documents, public.investment_agreements TO app_user;
GRANT SELECT, INSERT, UPDATE (status, transaction_hash, block_number, confirmed_at, metadata)
    ON public.investments, public.transactions TO app_user;
GRANT SELECT, INSERT, UPDATE ON public.contract_interactions TO app_user;
-- The application, for everybody.
GRANT SELECT ON public.user_tiers, public.assets, public.asset_details TO app_user;
GRANT SELECT, INSERT, UPDATE ON public.asset_metrics TO app_user;
GRANT SELECT, INSERT, UPDATE ON public.blockchain_blocks, public.blockchain_transactions, public.blockchain_events
    TO app_user;
GRANT INSERT ON public.user_analytics, public.system_logs, public.system_metrics, public.api_usage_logs TO app_user;

GRANT SELECT, INSERT, UPDATE, DELETE
    ON public.users, public.user_profiles, public.user_tiers, public.kyc_applications, public.kyc_documents,
       public.assets, public.asset_details, public.asset_metrics,
       public.admin_users, public.admin_sessions, public.admin_permissions
    TO admin_role;
GRANT SELECT, INSERT, UPDATE ON public.investments, public.transactions TO admin_role;
GRANT SELECT, INSERT ON public.admin_logs, public.system_logs TO admin_role;
GRANT SELECT
    ON public.investment_agreements, public.blockchain_blocks, public.blockchain_transactions, public.blockchain_events,
       public.contract_interactions, public.user_analytics, public.system_metrics, public.api_usage_logs
    TO admin_role;

GRANT SELECT
    ON public.users, public.user_profiles, public.user_tiers, public.kyc_applications, public.kyc_documents,
       public.assets, public.asset_details, public.asset_metrics, public.investments, public.transactions,
       public.investment_agreements, public.admin_users, public.admin_permissions, public.admin_logs,
       public.blockchain_blocks, public.blockchain_transactions, public.blockchain_events,
       public.contract_interactions, public.user_analytics, public.system_logs, public.system_metrics,
       public.api_usage_logs
    TO auditor;
-- The token of a session is the session: who reads it can take it over.
GRANT SELECT (id, admin_id, ip_address, user_agent, expires_at, created_at) ON public.admin_sessions TO auditor;

GRANT SELECT (id, blockchain_address, tier, status, created_at) ON public.users TO analyst;
GRANT SELECT (id, user_id, event_type, timestamp) ON public.user_analytics TO analyst;
GRANT SELECT
    ON public.user_tiers, public.assets, public.asset_details, public.asset_metrics, public.blockchain_blocks,
       public.blockchain_transactions, public.blockchain_events, public.system_metrics
    TO analyst;

-- What materialized views and look-ups read on behalf of who may not.
GRANT SELECT (id, phone_hash, blockchain_address, tier, status, created_at) ON public.users TO view_owner;
GRANT SELECT (id, user_id, asset_id, amount, status, invested_at) ON public.investments TO view_owner;
GRANT SELECT ON public.assets, public.asset_details, public.asset_metrics TO view_owner;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.users TO app_user
    USING (id = public.app_current_user_id()) WITH CHECK (id = public.app_current_user_id());
CREATE POLICY admin_users_policy ON public.users TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.users FOR SELECT TO auditor, analyst, view_owner USING (true);

ALTER TABLE public.user_profiles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.user_profiles TO app_user
    USING (user_id = public.app_current_user_id()) WITH CHECK (user_id = public.app_current_user_id());
CREATE POLICY admin_users_policy ON public.user_profiles TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.user_profiles FOR SELECT TO auditor USING (true);

ALTER TABLE public.kyc_applications ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.kyc_applications TO app_user
    USING (user_id = public.app_current_user_id()) WITH CHECK (user_id = public.app_current_user_id());
CREATE POLICY admin_users_policy ON public.kyc_applications TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.kyc_applications FOR SELECT TO auditor USING (true);

-- A document belongs to whom its application belongs to; the policy above decides that.
ALTER TABLE public.kyc_documents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.kyc_documents TO app_user
    USING (EXISTS (SELECT FROM public.kyc_applications AS a
                   WHERE a.id = application_id AND a.user_id = public.app_current_user_id()))
    WITH CHECK (EXISTS (SELECT FROM public.kyc_applications AS a
                        WHERE a.id = application_id AND a.user_id = public.app_current_user_id()));
CREATE POLICY admin_users_policy ON public.kyc_documents TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.kyc_documents FOR SELECT TO auditor USING (true);

ALTER TABLE public.investments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.investments TO app_user
    USING (user_id = public.app_current_user_id()) WITH CHECK (user_id = public.app_current_user_id());
CREATE POLICY admin_users_policy ON public.investments TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.investments FOR SELECT TO auditor, view_owner USING (true);

-- Not in the seeds' list, and as much a user's own.
ALTER TABLE public.transactions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.transactions TO app_user
    USING (user_id = public.app_current_user_id()) WITH CHECK (user_id = public.app_current_user_id());
CREATE POLICY admin_users_policy ON public.transactions TO admin_role USING (true) WITH CHECK (true);
CREATE POLICY reader_policy ON public.transactions FOR SELECT TO auditor USING (true);

ALTER TABLE public.investment_agreements ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.investment_agreements TO app_user
    USING (user_id = public.app_current_user_id()) WITH CHECK (user_id = public.app_current_user_id());
CREATE POLICY reader_policy ON public.investment_agreements FOR SELECT TO auditor, admin_role USING (true);

-- A call that is for no user is seen while no user is set: that is the platform itself at work.
ALTER TABLE public.contract_interactions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY user_data_policy ON public.contract_interactions TO app_user
    USING (user_id IS NOT DISTINCT FROM public.app_current_user_id())
    WITH CHECK (user_id IS NOT DISTINCT FROM public.app_current_user_id());
CREATE POLICY reader_policy ON public.contract_interactions FOR SELECT TO auditor, admin_role USING (true);

-- Who logs in is no user yet: these two look further than app_user may, and give away an id and nothing else.
RESET ROLE;
CREATE FUNCTION public.app_find_user_by_phone(wanted text) RETURNS uuid
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT id FROM public.users WHERE phone_hash = wanted $$;
ALTER FUNCTION public.app_find_user_by_phone(text) OWNER TO view_owner;
REVOKE ALL ON FUNCTION public.app_find_user_by_phone(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.app_find_user_by_phone(text) TO app_user;
COMMENT ON FUNCTION public.app_find_user_by_phone(text) IS 'The user with this phone_hash; NULL: nobody';

CREATE FUNCTION public.app_find_user_by_address(wanted text) RETURNS uuid
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT id FROM public.users WHERE lower(blockchain_address) = lower(wanted) $$;
ALTER FUNCTION public.app_find_user_by_address(text) OWNER TO view_owner;
REVOKE ALL ON FUNCTION public.app_find_user_by_address(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.app_find_user_by_address(text) TO app_user;
COMMENT ON FUNCTION public.app_find_user_by_address(text) IS 'The user with this wallet, in any case of its letters; NULL: nobody';
