-- What is asked often. Materialized views are as old as their last refresh: ops.view_refresh says how old that may be,
-- and `ops db refresh` keeps to it on whichever member leads. Each has a unique index, so that a refresh locks nobody out.
--
-- The linter does not know that a view which this file makes is new: hence what it is told to ignore.
-- They are view_owner's: the policies of tables would leave the owner of the tables an empty view. Amounts of different
-- currencies are added up as the seeds do: the platform has one.

GRANT CREATE ON SCHEMA public TO view_owner;
SET LOCAL ROLE view_owner;

CREATE MATERIALIZED VIEW public.asset_performance_summary AS
SELECT a.id,
       a.title,
       a.category,
       m.total_invested,
       m.investor_count,
       coalesce(m.total_invested / nullif(d.max_supply * d.token_price, 0) * 100, 0) AS funding_percentage,
       count(i.id) AS total_investments,
       avg(i.amount) AS avg_investment_size
FROM public.assets AS a
LEFT JOIN public.asset_metrics AS m ON m.asset_id = a.id
LEFT JOIN public.asset_details AS d ON d.asset_id = a.id
LEFT JOIN public.investments AS i ON i.asset_id = a.id AND i.status = 'confirmed'
WHERE a.status = 'active'
GROUP BY a.id, a.title, a.category, m.total_invested, m.investor_count, d.max_supply, d.token_price;
COMMENT ON MATERIALIZED VIEW public.asset_performance_summary IS 'Active assets: how far funded, by how many investments';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX asset_performance_summary_id ON public.asset_performance_summary (id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX asset_performance_summary_category ON public.asset_performance_summary (category, funding_percentage DESC);

CREATE MATERIALIZED VIEW public.user_portfolio_summary AS
SELECT u.id AS user_id,
       u.tier,
       count(DISTINCT i.asset_id) AS total_assets,
       coalesce(sum(i.amount), 0) AS total_invested,
       count(i.id) AS total_investments,
       max(i.invested_at) AS last_investment_date
FROM public.users AS u
LEFT JOIN public.investments AS i ON i.user_id = u.id AND i.status = 'confirmed'
GROUP BY u.id, u.tier;
COMMENT ON MATERIALIZED VIEW public.user_portfolio_summary IS 'Each user: what is invested, in how many assets';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX user_portfolio_summary_user_id ON public.user_portfolio_summary (user_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX user_portfolio_summary_total_invested ON public.user_portfolio_summary (total_invested DESC);

-- The requirements' query joins users with investments before it counts: a user with three investments counts three
-- times. Each figure is counted by itself here. `only_row` is there for the unique index.
CREATE MATERIALIZED VIEW public.real_time_stats AS
SELECT true AS only_row,
       (SELECT count(id) FROM public.users) AS total_users,
       (SELECT count(id) FROM public.users WHERE created_at > now() - interval '24 hours') AS new_users_today,
       (SELECT coalesce(sum(amount), 0) FROM public.investments WHERE status = 'confirmed') AS total_aum,
       (SELECT count(DISTINCT asset_id) FROM public.investments WHERE status = 'confirmed') AS active_assets,
       now() AS as_of;
COMMENT ON MATERIALIZED VIEW public.real_time_stats IS 'The figures on top of the dashboard, in one row';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX real_time_stats_only_row ON public.real_time_stats (only_row);

-- Rights are asked of who reads, not of the owner: each of these shows what its reader may see.
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM view_owner;
SET LOCAL ROLE migrator;

CREATE VIEW public.user_portfolio WITH (security_invoker = true) AS
SELECT i.user_id, i.asset_id, i.currency, sum(i.amount) AS amount, count(*) AS investments, max(i.invested_at) AS last_at
FROM public.investments AS i
WHERE i.status = 'confirmed'
GROUP BY i.user_id, i.asset_id, i.currency;
COMMENT ON VIEW public.user_portfolio IS 'What a user holds, as of now';

CREATE VIEW public.wallet_directory WITH (security_invoker = true) AS
SELECT blockchain_address, tier, status, created_at FROM public.users;
COMMENT ON VIEW public.wallet_directory IS 'Wallets, and nothing that leads to a person';

CREATE VIEW public.kyc_queue WITH (security_invoker = true) AS
SELECT a.id, a.user_id, a.status, a.submitted_at, now() - a.submitted_at AS waiting,
       (SELECT count(*) FROM public.kyc_documents AS d WHERE d.application_id = a.id) AS documents
FROM public.kyc_applications AS a
WHERE a.status IN ('pending_review', 'under_review');
COMMENT ON VIEW public.kyc_queue IS 'Applications that wait for somebody';

CREATE TABLE ops.view_refresh (
    view_name    text          PRIMARY KEY,
    every        interval      NOT NULL CHECK (every > interval '0'),
    refreshed_at timestamptz   NOT NULL DEFAULT now(),
    seconds      numeric(12, 3)
);
COMMENT ON TABLE ops.view_refresh IS 'How old each materialized view may be, and how old it is';
COMMENT ON COLUMN ops.view_refresh.view_name IS 'In schema public';
COMMENT ON COLUMN ops.view_refresh.every IS 'It is due when it is older than this';
COMMENT ON COLUMN ops.view_refresh.refreshed_at IS 'What it shows is as of then';
COMMENT ON COLUMN ops.view_refresh.seconds IS 'How long the last refresh took';
INSERT INTO ops.view_refresh (view_name, every) VALUES
    ('asset_performance_summary', '10 minutes'), ('user_portfolio_summary', '10 minutes'), ('real_time_stats', '5 minutes');
GRANT SELECT ON ops.view_refresh TO exporter, admin_role, auditor;

GRANT SELECT ON public.user_portfolio TO app_user, admin_role, auditor;
GRANT SELECT ON public.wallet_directory TO admin_role, auditor, analyst;
GRANT SELECT ON public.kyc_queue TO admin_role, auditor;
RESET ROLE;
GRANT SELECT ON public.asset_performance_summary, public.real_time_stats TO app_user, admin_role, auditor, analyst;
-- A row for each user, and no policy on it: not for the application.
GRANT SELECT ON public.user_portfolio_summary TO admin_role, auditor;
