-- The books of a pgbench load balance: accounts, tellers and branches sum up to the same.
-- needs: public.pgbench_accounts, public.pgbench_tellers, public.pgbench_branches
--
-- Each transaction of pgbench changes one row of each by the same amount. At any moment between two commits
-- the sums agree, and at no other: half a transaction, or two moments mixed, shows here.
SELECT format('accounts %s, tellers %s, branches %s', accounts, tellers, branches) AS violation
FROM (
    SELECT (SELECT coalesce(sum(abalance), 0) FROM public.pgbench_accounts) AS accounts,
           (SELECT coalesce(sum(tbalance), 0) FROM public.pgbench_tellers) AS tellers,
           (SELECT coalesce(sum(bbalance), 0) FROM public.pgbench_branches) AS branches
) AS sums
WHERE NOT (accounts = tellers AND tellers = branches);
