-- One transaction: the rows are open to nobody in between, and to nobody afterwards.
DROP FUNCTION public.app_find_user_by_address(text);
DROP FUNCTION public.app_find_user_by_phone(text);
DROP POLICY reader_policy ON public.contract_interactions;
DROP POLICY user_data_policy ON public.contract_interactions;
DROP POLICY reader_policy ON public.investment_agreements;
DROP POLICY user_data_policy ON public.investment_agreements;
DROP POLICY reader_policy ON public.transactions;
DROP POLICY admin_users_policy ON public.transactions;
DROP POLICY user_data_policy ON public.transactions;
DROP POLICY reader_policy ON public.investments;
DROP POLICY admin_users_policy ON public.investments;
DROP POLICY user_data_policy ON public.investments;
DROP POLICY reader_policy ON public.kyc_documents;
DROP POLICY admin_users_policy ON public.kyc_documents;
DROP POLICY user_data_policy ON public.kyc_documents;
DROP POLICY reader_policy ON public.kyc_applications;
DROP POLICY admin_users_policy ON public.kyc_applications;
DROP POLICY user_data_policy ON public.kyc_applications;
DROP POLICY reader_policy ON public.user_profiles;
DROP POLICY admin_users_policy ON public.user_profiles;
DROP POLICY user_data_policy ON public.user_profiles;
DROP POLICY reader_policy ON public.users;
DROP POLICY admin_users_policy ON public.users;
DROP POLICY user_data_policy ON public.users;
ALTER TABLE public.contract_interactions DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.investment_agreements DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.transactions DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.investments DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kyc_documents DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kyc_applications DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.user_profiles DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.users DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
REVOKE ALL
    ON public.users, public.user_profiles, public.user_tiers, public.kyc_applications, public.kyc_documents,
       public.assets, public.asset_details, public.asset_metrics, public.investments, public.transactions,
       public.investment_agreements, public.admin_users, public.admin_sessions, public.admin_permissions,
       public.admin_logs, public.blockchain_blocks, public.blockchain_transactions, public.blockchain_events,
       public.contract_interactions, public.user_analytics, public.system_logs, public.system_metrics,
       public.api_usage_logs
    FROM app_user, admin_role, auditor, analyst, view_owner;
