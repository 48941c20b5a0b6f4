DROP FUNCTION ops.partition_state();
DROP FUNCTION ops.ensure_partitions(integer, timestamptz);
DROP FUNCTION ops.set_last_updated();
DROP FUNCTION ops.set_updated_at();
DROP FUNCTION public.app_current_user_id();
