-- What grows with every request: months of it are partitions, so that old ones can be detached in an instant, and the
-- new one stays in memory. The default partition catches what no month is there for; ops.partition_state() tells.
--
-- The seeds' key of user_analytics and system_metrics is id. Within a month it is unique still; over all months it is so
-- because an id is drawn at random and nobody may write one but who imports. Nothing refers to these rows.
-- Users and admins are named without foreign keys in the two logs: a log must take what it is given, and quickly.
-- user_analytics stays beside analytics_events of pend_analytics: this is what joins with users under their policies,
-- that is the stream that dashboards aggregate, in a cluster that a site may not have.

SET LOCAL ROLE migrator;

CREATE TABLE public.user_analytics (
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    user_id    uuid        REFERENCES public.users (id) ON DELETE SET NULL,
    event_type varchar(50) NOT NULL,
    event_data jsonb       NOT NULL DEFAULT '{}',
    session_id varchar(100),
    ip_address inet,
    user_agent text,
    timestamp  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
COMMENT ON TABLE public.user_analytics IS 'What users did in the application';
COMMENT ON COLUMN public.user_analytics.id IS 'Key, with the time';
COMMENT ON COLUMN public.user_analytics.user_id IS 'Who; NULL: nobody was logged in, or the user is gone';
COMMENT ON COLUMN public.user_analytics.event_type IS 'What';
COMMENT ON COLUMN public.user_analytics.event_data IS 'Details';
COMMENT ON COLUMN public.user_analytics.session_id IS 'In which session';
COMMENT ON COLUMN public.user_analytics.ip_address IS 'Where from';
COMMENT ON COLUMN public.user_analytics.user_agent IS 'With what';
COMMENT ON COLUMN public.user_analytics.timestamp IS 'When';

CREATE INDEX idx_user_analytics_user_id ON public.user_analytics (user_id);
CREATE INDEX idx_user_analytics_event_type ON public.user_analytics (event_type);
CREATE INDEX idx_user_analytics_timestamp ON public.user_analytics (timestamp);
CREATE INDEX idx_user_analytics_user_event_time ON public.user_analytics (user_id, event_type, timestamp);
CREATE TABLE public.user_analytics_default PARTITION OF public.user_analytics DEFAULT;
COMMENT ON TABLE public.user_analytics_default IS 'What no month is there for; should be empty';

CREATE TABLE public.system_metrics (
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    metric_type  varchar(50) NOT NULL,
    metric_value numeric(18, 6),
    metadata     jsonb       NOT NULL DEFAULT '{}',
    timestamp    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
COMMENT ON TABLE public.system_metrics IS 'Figures that the application measures of itself';
COMMENT ON COLUMN public.system_metrics.id IS 'Key, with the time';
COMMENT ON COLUMN public.system_metrics.metric_type IS 'Which figure';
COMMENT ON COLUMN public.system_metrics.metric_value IS 'Its value';
COMMENT ON COLUMN public.system_metrics.metadata IS 'Details';
COMMENT ON COLUMN public.system_metrics.timestamp IS 'When';

CREATE INDEX idx_system_metrics_metric_type ON public.system_metrics (metric_type);
CREATE INDEX idx_system_metrics_timestamp ON public.system_metrics (timestamp);
CREATE TABLE public.system_metrics_default PARTITION OF public.system_metrics DEFAULT;
COMMENT ON TABLE public.system_metrics_default IS 'What no month is there for; should be empty';

CREATE TABLE public.system_logs (
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    level      varchar(10) NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error', 'fatal')),
    source     varchar(50) NOT NULL,
    message    text        NOT NULL,
    context    jsonb       NOT NULL DEFAULT '{}',
    request_id varchar(100),
    host       varchar(255),
    timestamp  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
COMMENT ON TABLE public.system_logs IS 'What the servers of the application log';
COMMENT ON COLUMN public.system_logs.id IS 'Key, with the time';
COMMENT ON COLUMN public.system_logs.level IS 'debug, info, warn, error or fatal';
COMMENT ON COLUMN public.system_logs.source IS 'Which part of the application';
COMMENT ON COLUMN public.system_logs.message IS 'What it says';
COMMENT ON COLUMN public.system_logs.context IS 'Details';
COMMENT ON COLUMN public.system_logs.request_id IS 'Of which request, as in api_usage_logs';
COMMENT ON COLUMN public.system_logs.host IS 'On which server';
COMMENT ON COLUMN public.system_logs.timestamp IS 'When';

CREATE INDEX idx_system_logs_timestamp ON public.system_logs (timestamp);
CREATE INDEX idx_system_logs_level ON public.system_logs (level, timestamp);
CREATE INDEX idx_system_logs_source ON public.system_logs (source, timestamp);
CREATE INDEX idx_system_logs_request_id ON public.system_logs (request_id) WHERE request_id IS NOT NULL;
CREATE TABLE public.system_logs_default PARTITION OF public.system_logs DEFAULT;
COMMENT ON TABLE public.system_logs_default IS 'What no month is there for; should be empty';

CREATE TABLE public.api_usage_logs (
    id               uuid           NOT NULL DEFAULT gen_random_uuid(),
    endpoint         varchar(255)   NOT NULL,
    method           varchar(10)    NOT NULL,
    status_code      smallint       NOT NULL CHECK (status_code BETWEEN 100 AND 599),
    response_time_ms numeric(12, 3) CHECK (response_time_ms >= 0),
    request_bytes    bigint         CHECK (request_bytes >= 0),
    response_bytes   bigint         CHECK (response_bytes >= 0),
    user_id          uuid,
    admin_id         uuid,
    request_id       varchar(100),
    ip_address       inet,
    user_agent       text,
    error_message    text,
    timestamp        timestamptz    NOT NULL DEFAULT now(),
    PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
COMMENT ON TABLE public.api_usage_logs IS 'Requests to the API';
COMMENT ON COLUMN public.api_usage_logs.id IS 'Key, with the time';
COMMENT ON COLUMN public.api_usage_logs.endpoint IS 'The route, not the path: ids in it would make each its own';
COMMENT ON COLUMN public.api_usage_logs.method IS 'GET, POST …';
COMMENT ON COLUMN public.api_usage_logs.status_code IS 'Of HTTP';
COMMENT ON COLUMN public.api_usage_logs.response_time_ms IS 'Milliseconds';
COMMENT ON COLUMN public.api_usage_logs.request_bytes IS 'Bytes that came';
COMMENT ON COLUMN public.api_usage_logs.response_bytes IS 'Bytes that went';
COMMENT ON COLUMN public.api_usage_logs.user_id IS 'Which user, if one';
COMMENT ON COLUMN public.api_usage_logs.admin_id IS 'Which admin, if one';
COMMENT ON COLUMN public.api_usage_logs.request_id IS 'Its id in all logs';
COMMENT ON COLUMN public.api_usage_logs.ip_address IS 'Where from';
COMMENT ON COLUMN public.api_usage_logs.user_agent IS 'With what';
COMMENT ON COLUMN public.api_usage_logs.error_message IS 'What went wrong';
COMMENT ON COLUMN public.api_usage_logs.timestamp IS 'When';

CREATE INDEX idx_api_usage_logs_timestamp ON public.api_usage_logs (timestamp);
CREATE INDEX idx_api_usage_logs_endpoint ON public.api_usage_logs (endpoint, timestamp);
CREATE INDEX idx_api_usage_logs_status_code ON public.api_usage_logs (status_code, timestamp);
CREATE INDEX idx_api_usage_logs_user_id ON public.api_usage_logs (user_id, timestamp) WHERE user_id IS NOT NULL;
CREATE TABLE public.api_usage_logs_default PARTITION OF public.api_usage_logs DEFAULT;
COMMENT ON TABLE public.api_usage_logs_default IS 'What no month is there for; should be empty';

DO $$ BEGIN PERFORM ops.ensure_partitions(); END $$;
