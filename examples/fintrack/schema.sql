-- fintrack: the schema that `alembic upgrade head` builds (revision ffcccccc0004).
--
-- Written by hand and kept equal to the chain in migrations/versions (README.md
-- tells how that is checked). Plain SQL: psql -f schema.sql, or all of it as one
-- multi-statement query. Needs an empty schema "public" in a UTF8 database.


------------------------------------------------------------------------
-- Types
------------------------------------------------------------------------

CREATE DOMAIN currency_code AS varchar(10)
    CONSTRAINT currency_code_format CHECK (VALUE ~ '^[A-Z][A-Z0-9]{2,9}$');
COMMENT ON DOMAIN currency_code IS 'ISO 4217 code or crypto ticker, upper case';

CREATE TYPE asset_class AS ENUM ('fund', 'stock', 'etf', 'crypto', 'cash');

-- Two labels came later, in the middle: sort order is not creation order.
CREATE TYPE operation_type AS ENUM ('buy', 'sell', 'dividend', 'transfer');
ALTER TYPE operation_type ADD VALUE 'dca_buy' BEFORE 'sell';
ALTER TYPE operation_type ADD VALUE 'reversal' BEFORE 'transfer';
COMMENT ON TYPE operation_type IS '操作类型';

CREATE TYPE operation_status AS ENUM ('pending', 'confirmed', 'cancelled');

CREATE TYPE okx_inst_type AS ENUM ('SPOT', 'MARGIN', 'SWAP', 'FUTURES', 'OPTION');


------------------------------------------------------------------------
-- Sequences that no column owns
------------------------------------------------------------------------

CREATE SEQUENCE wise_statement_no_seq START WITH 1000 INCREMENT BY 10 MINVALUE 1000;
COMMENT ON SEQUENCE wise_statement_no_seq IS 'Statement numbers, also taken by the importer';

CREATE SEQUENCE report_no_seq AS integer START WITH 500 MINVALUE 1 MAXVALUE 999999 CACHE 5 CYCLE;


------------------------------------------------------------------------
-- Trigger functions
------------------------------------------------------------------------

CREATE FUNCTION set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $fn$
BEGIN
    -- A caller that sets updated_at itself (an import) is obeyed.
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END;
$fn$;
COMMENT ON FUNCTION set_updated_at() IS 'BEFORE UPDATE: updated_at := now()';

CREATE FUNCTION audit_row() RETURNS trigger
    LANGUAGE plpgsql
    SET "TimeZone" TO 'UTC'
    AS $fn$
DECLARE
    v_old jsonb;
    v_new jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        v_old := to_jsonb(OLD);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        v_new := to_jsonb(NEW);
    END IF;
    INSERT INTO public.audit_log (table_name, op, row_key, old_row, new_row, changed_by, changed_at)
    VALUES (TG_TABLE_NAME,
            left(TG_OP, 1),
            coalesce(v_new, v_old) ->> TG_ARGV[0],
            v_old,
            v_new,
            coalesce(nullif(current_setting('fintrack.actor', true), ''), 'app'),
            coalesce((v_new ->> 'updated_at')::timestamptz, now()));
    RETURN NULL;
END;
$fn$;
COMMENT ON FUNCTION audit_row() IS 'AFTER trigger; its argument names the key column';


------------------------------------------------------------------------
-- Ledger of alembic
------------------------------------------------------------------------

CREATE TABLE alembic_version (
    version_num  varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version (version_num) VALUES ('ffcccccc0004');


------------------------------------------------------------------------
-- Audit, configuration
------------------------------------------------------------------------

CREATE TABLE audit_log (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    table_name  text NOT NULL,
    op          char(1) NOT NULL,
    row_key     text,
    old_row     jsonb,
    new_row     jsonb,
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT ck_audit_log_op CHECK (op IN ('I', 'U', 'D'))
);
CREATE INDEX idx_audit_log_row ON audit_log (table_name, row_key);
COMMENT ON TABLE audit_log IS 'Written by triggers only';

CREATE TABLE system_config (
    config_key    varchar(100) NOT NULL,
    config_value  text,
    value_json    jsonb,
    is_secret     boolean NOT NULL DEFAULT false,
    description   text,
    allowed_from  inet,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT system_config_pkey PRIMARY KEY (config_key)
);
COMMENT ON TABLE system_config IS '系统配置';


------------------------------------------------------------------------
-- Funds
------------------------------------------------------------------------

CREATE TABLE fund_info (
    id              serial,
    fund_code       varchar(20) NOT NULL,
    fund_name       varchar(200) NOT NULL,
    fund_type       varchar(40),
    management_fee  numeric(6,4),
    purchase_fee    numeric(6,4),
    risk_level      smallint,
    tags            text[] NOT NULL DEFAULT '{}',
    profile         jsonb,
    established_on  date,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fund_info_pkey PRIMARY KEY (id),
    CONSTRAINT uq_fund_info_fund_code UNIQUE (fund_code),
    CONSTRAINT ck_fund_info_risk_level CHECK (risk_level BETWEEN 1 AND 5)
);
CREATE INDEX idx_fund_info_name_lower ON fund_info (lower(fund_name::text));
CREATE INDEX idx_fund_info_profile ON fund_info USING gin (profile jsonb_path_ops);
COMMENT ON TABLE fund_info IS '基金基本信息';
COMMENT ON COLUMN fund_info.fund_code IS '基金代码, leading zeros matter';
COMMENT ON COLUMN fund_info.fund_name IS '基金名称';

CREATE TABLE fund_nav (
    fund_code        varchar(20) NOT NULL,
    nav_date         date NOT NULL,
    nav              numeric(20,8) NOT NULL,
    accumulated_nav  numeric(20,8),
    growth_rate      double precision,
    source           varchar(40),
    CONSTRAINT fund_nav_pkey PRIMARY KEY (fund_code, nav_date),
    CONSTRAINT fk_fund_nav_fund FOREIGN KEY (fund_code)
        REFERENCES fund_info (fund_code) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE fund_nav IS '基金净值历史';

CREATE TABLE fund_dividend (
    id               serial,
    fund_code        varchar(20) NOT NULL,
    record_date      date,
    ex_date          date NOT NULL,
    payment_date     date,
    dividend_amount  numeric(20,8) NOT NULL,
    announcement     text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fund_dividend_pkey PRIMARY KEY (id),
    CONSTRAINT uq_fund_dividend UNIQUE (fund_code, ex_date),
    CONSTRAINT ck_fund_dividend_amount CHECK (dividend_amount >= 0),
    CONSTRAINT fk_fund_dividend_fund FOREIGN KEY (fund_code)
        REFERENCES fund_info (fund_code) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX idx_fund_dividend_date ON fund_dividend (ex_date);
COMMENT ON TABLE fund_dividend IS '基金分红';
COMMENT ON COLUMN fund_dividend.ex_date IS '除息日';
COMMENT ON COLUMN fund_dividend.dividend_amount IS '每份分红';


------------------------------------------------------------------------
-- Plans, operations, positions
------------------------------------------------------------------------

CREATE TABLE dca_plans (
    id               serial,
    plan_name        varchar(100) NOT NULL,
    fund_id          integer NOT NULL,
    platform         varchar(50) NOT NULL,
    currency         currency_code NOT NULL DEFAULT 'CNY',
    amount           numeric(20,8) NOT NULL,
    frequency        varchar(20) NOT NULL,
    execution_time   time,
    start_date       date NOT NULL,
    end_date         date,
    is_active        boolean NOT NULL DEFAULT true,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    asset_type       asset_class NOT NULL DEFAULT 'fund',
    next_run_at      timestamptz,
    last_run_at      timestamptz,
    execution_count  integer NOT NULL DEFAULT 0,
    total_invested   numeric(38,18) NOT NULL DEFAULT 0,
    smart_rules      jsonb,
    fee_rate         numeric(8,6) NOT NULL DEFAULT 0,
    exclude_dates    date[] NOT NULL DEFAULT '{}',
    exclude_reasons  text[],
    CONSTRAINT dca_plans_pkey PRIMARY KEY (id),
    CONSTRAINT ck_dca_plans_amount CHECK (amount > 0),
    CONSTRAINT ck_dca_plans_dates CHECK (end_date >= start_date),
    CONSTRAINT ck_dca_plans_fee_rate CHECK (fee_rate >= 0 AND fee_rate < 1),
    CONSTRAINT ck_dca_plans_frequency CHECK (frequency IN ('daily', 'weekly', 'biweekly', 'monthly')),
    CONSTRAINT fk_dca_plans_fund FOREIGN KEY (fund_id) REFERENCES fund_info (id) ON DELETE RESTRICT
);
CREATE INDEX idx_dca_plans_fund ON dca_plans (fund_id);
CREATE INDEX idx_dca_plans_due ON dca_plans (next_run_at) WHERE is_active;
COMMENT ON TABLE dca_plans IS '定投计划';
COMMENT ON COLUMN dca_plans.end_date IS 'NULL = not decided, ''infinity'' = for ever';
COMMENT ON COLUMN dca_plans.asset_type IS '资产类型';
COMMENT ON COLUMN dca_plans.smart_rules IS '智能定投规则';
COMMENT ON COLUMN dca_plans.fee_rate IS '手续费率, 0.0015 = 0.15%';
COMMENT ON COLUMN dca_plans.exclude_dates IS '排除日期';

CREATE TABLE user_operations (
    id                  bigserial,
    operation_date      timestamptz NOT NULL,
    platform            varchar(50) NOT NULL,
    asset_type          asset_class NOT NULL,
    operation_type      operation_type NOT NULL,
    asset_code          varchar(50) NOT NULL,
    asset_name          varchar(200),
    currency            currency_code NOT NULL DEFAULT 'CNY',
    amount              numeric(38,18) NOT NULL,
    quantity            numeric(38,18),
    price               numeric,
    fee                 numeric(20,8) NOT NULL DEFAULT 0,
    net_amount          numeric GENERATED ALWAYS AS (amount - fee) STORED,
    status              operation_status NOT NULL DEFAULT 'pending',
    strategy            text,
    emotion_score       smallint,
    tags                text[],
    details             jsonb,
    notes               text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    nav                 numeric(20,8),
    dca_plan_id         integer,
    dca_execution_type  varchar(20),
    reverses_id         bigint,
    CONSTRAINT user_operations_pkey PRIMARY KEY (id),
    CONSTRAINT ck_user_operations_dca_execution CHECK (dca_execution_type IN ('scheduled', 'manual', 'smart')),
    CONSTRAINT ck_user_operations_emotion CHECK (emotion_score BETWEEN 1 AND 10),
    CONSTRAINT ck_user_operations_fee CHECK (fee >= 0),
    CONSTRAINT ck_user_operations_nav CHECK (nav > 0),
    CONSTRAINT ck_user_operations_not_itself CHECK (reverses_id <> id),
    CONSTRAINT fk_user_operations_dca_plan FOREIGN KEY (dca_plan_id) REFERENCES dca_plans (id) ON DELETE SET NULL,
    CONSTRAINT fk_user_operations_reverses FOREIGN KEY (reverses_id) REFERENCES user_operations (id)
);
CREATE INDEX idx_user_operations_date ON user_operations (operation_date DESC);
CREATE INDEX idx_user_operations_asset ON user_operations (asset_code, operation_date);
CREATE INDEX idx_user_operations_pending ON user_operations (operation_date) WHERE status = 'pending';
CREATE INDEX idx_user_operations_utc_day ON user_operations
    (upper(asset_code::text), ((operation_date AT TIME ZONE 'UTC')::date));
CREATE INDEX idx_user_operations_details ON user_operations USING gin (details);
CREATE INDEX idx_user_operations_tags ON user_operations USING gin (tags);
CREATE UNIQUE INDEX idx_user_operations_reverses ON user_operations (reverses_id) WHERE reverses_id IS NOT NULL;
COMMENT ON TABLE user_operations IS '用户操作记录';
COMMENT ON COLUMN user_operations.net_amount IS 'amount - fee, computed by the database';
COMMENT ON COLUMN user_operations.emotion_score IS '1 = panic, 10 = euphoria';
COMMENT ON COLUMN user_operations.nav IS '成交净值';
COMMENT ON COLUMN user_operations.reverses_id IS '冲销的原操作';

CREATE TABLE asset_positions (
    id                 serial,
    platform           varchar(50) NOT NULL,
    asset_type         asset_class NOT NULL,
    asset_code         varchar(50) NOT NULL,
    asset_name         varchar(200),
    currency           currency_code NOT NULL,
    quantity           numeric(38,18) NOT NULL,
    avg_cost           numeric(38,18),
    current_price      numeric,
    total_value        numeric GENERATED ALWAYS AS (quantity * current_price) STORED,
    last_operation_id  bigint,
    extra              jsonb NOT NULL DEFAULT '{}',
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT asset_positions_pkey PRIMARY KEY (id),
    CONSTRAINT uq_asset_positions UNIQUE (platform, asset_code, currency),
    CONSTRAINT fk_asset_positions_last_operation FOREIGN KEY (last_operation_id)
        REFERENCES user_operations (id) ON DELETE SET NULL
) WITH (fillfactor = 80);
CREATE INDEX idx_asset_positions_value ON asset_positions (total_value DESC NULLS LAST)
    INCLUDE (platform, asset_code);
COMMENT ON TABLE asset_positions IS '当前持仓';


------------------------------------------------------------------------
-- Wise
------------------------------------------------------------------------

CREATE TABLE wise_transactions (
    id                  serial,
    profile_id          bigint NOT NULL,
    account_id          varchar(64) NOT NULL,
    transaction_id      varchar(64) NOT NULL,
    transaction_type    varchar(30),
    amount              numeric(38,18) NOT NULL,
    currency            currency_code NOT NULL,
    description         text,
    merchant            varchar(200),
    occurred_at         timestamptz NOT NULL,
    statement_no        bigint NOT NULL DEFAULT nextval('wise_statement_no_seq'),
    receipt             bytea,
    raw                 jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    primary_amount      numeric(38,18),
    primary_currency    currency_code,
    secondary_amount    numeric(38,18),
    secondary_currency  currency_code,
    implied_rate        numeric GENERATED ALWAYS AS (secondary_amount / nullif(primary_amount, 0)) STORED,
    CONSTRAINT wise_transactions_pkey PRIMARY KEY (id),
    CONSTRAINT uq_wise_transactions_transaction_id UNIQUE (transaction_id),
    CONSTRAINT ck_wise_transactions_secondary CHECK ((secondary_amount IS NULL) = (secondary_currency IS NULL)),
    CONSTRAINT ck_wise_transactions_type
        CHECK (transaction_type IN ('CARD', 'TRANSFER', 'CONVERSION', 'DEPOSIT', 'FEE', 'INTEREST'))
);
CREATE INDEX idx_wise_transactions_account ON wise_transactions (account_id, occurred_at);
CREATE INDEX idx_wise_transactions_raw ON wise_transactions USING gin (raw);
COMMENT ON TABLE wise_transactions IS 'Wise 交易记录';
COMMENT ON COLUMN wise_transactions.receipt IS 'PDF or image, as received';
COMMENT ON COLUMN wise_transactions.primary_amount IS '主金额';
COMMENT ON COLUMN wise_transactions.secondary_amount IS '次金额';

CREATE TABLE wise_balances (
    id                 serial,
    account_id         varchar(64) NOT NULL,
    currency           currency_code NOT NULL,
    available_balance  numeric(38,18) NOT NULL,
    reserved_balance   numeric(38,18) NOT NULL DEFAULT 0,
    total_worth        numeric,
    balance_type       varchar(20) NOT NULL DEFAULT 'STANDARD',
    visible            boolean NOT NULL DEFAULT true,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT wise_balances_pkey PRIMARY KEY (id),
    CONSTRAINT uq_wise_balance_history UNIQUE (account_id, currency, update_time),
    CONSTRAINT ck_wise_balances_reserved CHECK (reserved_balance >= 0)
);
CREATE INDEX idx_wise_balance_latest ON wise_balances (account_id, currency, update_time DESC);
COMMENT ON TABLE wise_balances IS 'Wise 余额';


------------------------------------------------------------------------
-- IBKR
------------------------------------------------------------------------

CREATE TABLE ibkr_accounts (
    account_id     varchar(20) NOT NULL,
    account_name   varchar(100),
    base_currency  currency_code NOT NULL DEFAULT 'USD',
    account_type   varchar(20) NOT NULL DEFAULT 'INDIVIDUAL',
    opened_on      date,
    api_key_hash   bytea,
    settings       jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ibkr_accounts_pkey PRIMARY KEY (account_id),
    CONSTRAINT ck_ibkr_accounts_key_hash CHECK (octet_length(api_key_hash) = 32)
);
COMMENT ON TABLE ibkr_accounts IS 'IBKR 账户';
COMMENT ON COLUMN ibkr_accounts.api_key_hash IS 'sha256';

CREATE TABLE ibkr_balances (
    id               bigserial,
    account_id       varchar(20) NOT NULL,
    currency         currency_code NOT NULL,
    total_cash       numeric(38,18) NOT NULL,
    net_liquidation  numeric(38,18),
    buying_power     numeric(38,18),
    snapshot_date    date NOT NULL,
    snapshot_at      timestamptz NOT NULL,
    CONSTRAINT ibkr_balances_pkey PRIMARY KEY (id),
    CONSTRAINT uq_ibkr_balances UNIQUE (account_id, currency, snapshot_at),
    CONSTRAINT fk_ibkr_balances_account FOREIGN KEY (account_id)
        REFERENCES ibkr_accounts (account_id) ON DELETE CASCADE
);
COMMENT ON TABLE ibkr_balances IS 'IBKR 余额';

CREATE TABLE ibkr_positions (
    id              bigserial,
    account_id      varchar(20) NOT NULL,
    symbol          varchar(40) NOT NULL,
    asset_type      asset_class NOT NULL DEFAULT 'stock',
    currency        currency_code NOT NULL,
    quantity        numeric(38,18) NOT NULL,
    market_price    numeric,
    average_cost    numeric(38,18),
    unrealized_pnl  numeric(38,18),
    greeks          jsonb,
    snapshot_at     timestamptz NOT NULL,
    CONSTRAINT ibkr_positions_pkey PRIMARY KEY (id),
    CONSTRAINT fk_ibkr_positions_account FOREIGN KEY (account_id)
        REFERENCES ibkr_accounts (account_id) ON DELETE CASCADE
);
CREATE INDEX idx_ibkr_positions_latest ON ibkr_positions (account_id, symbol, snapshot_at DESC);
COMMENT ON TABLE ibkr_positions IS 'IBKR 持仓';

CREATE TABLE ibkr_sync_logs (
    id          serial,
    account_id  varchar(20),
    request_id  uuid NOT NULL,
    status      varchar(20) NOT NULL,
    rows_in     integer NOT NULL DEFAULT 0,
    duration    interval,
    source_ip   inet,
    error       text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ibkr_sync_logs_pkey PRIMARY KEY (id),
    CONSTRAINT uq_ibkr_sync_logs_request UNIQUE (request_id),
    CONSTRAINT ck_ibkr_sync_logs_status CHECK (status IN ('ok', 'partial', 'failed')),
    CONSTRAINT fk_ibkr_sync_logs_account FOREIGN KEY (account_id)
        REFERENCES ibkr_accounts (account_id) ON DELETE SET NULL DEFERRABLE
);
COMMENT ON TABLE ibkr_sync_logs IS 'IBKR 同步日志';


------------------------------------------------------------------------
-- OKX
------------------------------------------------------------------------

CREATE TABLE okx_balances (
    id            serial,
    account_type  varchar(20) NOT NULL,
    currency      currency_code NOT NULL,
    available     numeric(38,18) NOT NULL,
    frozen        numeric(38,18) NOT NULL DEFAULT 0,
    equity        numeric,
    update_time   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT okx_balances_pkey PRIMARY KEY (id),
    CONSTRAINT uq_okx_balance_history UNIQUE (account_type, currency, update_time),
    CONSTRAINT ck_okx_balances_account CHECK (account_type IN ('funding', 'trading', 'savings'))
);
CREATE INDEX idx_okx_balance_latest ON okx_balances (account_type, currency, update_time DESC);
COMMENT ON TABLE okx_balances IS 'OKX 余额';

CREATE TABLE okx_transactions (
    id              bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 1000),
    transaction_id  varchar(64) NOT NULL,
    inst_type       okx_inst_type NOT NULL,
    inst_id         varchar(40) NOT NULL,
    side            varchar(4),
    price           numeric,
    size            numeric(38,18) NOT NULL,
    fee             numeric(38,18),
    fee_currency    currency_code,
    executed_at     timestamptz NOT NULL,
    bill            jsonb,
    CONSTRAINT okx_transactions_pkey PRIMARY KEY (id),
    CONSTRAINT uq_okx_transactions_transaction_id UNIQUE (transaction_id),
    CONSTRAINT ck_okx_transactions_side CHECK (side IN ('buy', 'sell'))
);
CREATE INDEX idx_okx_transactions_inst ON okx_transactions (inst_id, executed_at DESC);
COMMENT ON TABLE okx_transactions IS 'OKX 交易记录';

CREATE TABLE okx_positions (
    id             serial,
    inst_id        varchar(40) NOT NULL,
    inst_type      okx_inst_type NOT NULL,
    position_side  varchar(5) NOT NULL,
    quantity       numeric(38,18) NOT NULL,
    avg_price      numeric(38,18),
    liq_price      numeric,
    leverage       real,
    margin_ratio   double precision,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT okx_positions_pkey PRIMARY KEY (id),
    CONSTRAINT ck_okx_positions_side CHECK (position_side IN ('long', 'short', 'net'))
);
COMMENT ON TABLE okx_positions IS 'OKX 持仓';

CREATE TABLE okx_market_data (
    id            bigserial,
    inst_id       varchar(40) NOT NULL,
    ts            timestamptz NOT NULL,
    open_price    numeric(38,18),
    high_price    numeric(38,18),
    low_price     numeric(38,18),
    last_price    numeric(38,18) NOT NULL,
    volume        numeric(38,18),
    funding_rate  numeric,
    CONSTRAINT okx_market_data_pkey PRIMARY KEY (id),
    CONSTRAINT uq_okx_market_data UNIQUE (inst_id, ts)
);
COMMENT ON TABLE okx_market_data IS 'OKX 行情';

CREATE TABLE okx_account_overview (
    id                 serial,
    trading_total_usd  numeric(38,18) NOT NULL,
    funding_total_usd  numeric(38,18) NOT NULL,
    savings_total_usd  numeric(38,18) NOT NULL,
    total_assets_usd   numeric GENERATED ALWAYS AS (trading_total_usd + funding_total_usd + savings_total_usd) STORED,
    breakdown          jsonb,
    as_of              timestamptz NOT NULL,
    CONSTRAINT okx_account_overview_pkey PRIMARY KEY (id),
    CONSTRAINT uq_okx_account_overview_as_of UNIQUE (as_of)
);
COMMENT ON TABLE okx_account_overview IS 'OKX 账户总览';


------------------------------------------------------------------------
-- Web3
------------------------------------------------------------------------

CREATE TABLE web3_tokens (
    id           serial,
    chain        varchar(20) NOT NULL,
    address      varchar(66) COLLATE "C" NOT NULL,
    symbol       varchar(40) NOT NULL,
    name         text,
    decimals     smallint NOT NULL DEFAULT 18,
    is_verified  boolean NOT NULL DEFAULT false,
    logo         bytea,
    aliases      text[] NOT NULL DEFAULT ARRAY[]::text[],
    CONSTRAINT web3_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT uq_web3_tokens UNIQUE (chain, address),
    CONSTRAINT ck_web3_tokens_decimals CHECK (decimals BETWEEN 0 AND 36)
);
CREATE INDEX idx_web3_tokens_symbol ON web3_tokens (lower(symbol::text));
COMMENT ON TABLE web3_tokens IS 'Web3 代币';

CREATE TABLE web3_balances (
    id             bigserial,
    wallet         varchar(66) COLLATE "C" NOT NULL,
    chain          varchar(20) NOT NULL,
    token_address  varchar(66) COLLATE "C" NOT NULL,
    raw_balance    numeric(78,0) NOT NULL,
    balance        numeric,
    usd_value      numeric(38,18),
    snapshot_at    timestamptz NOT NULL,
    CONSTRAINT web3_balances_pkey PRIMARY KEY (id),
    CONSTRAINT uq_web3_balances UNIQUE (wallet, chain, token_address, snapshot_at),
    CONSTRAINT ck_web3_balances_raw CHECK (raw_balance >= 0),
    CONSTRAINT fk_web3_balances_token FOREIGN KEY (chain, token_address)
        REFERENCES web3_tokens (chain, address) ON UPDATE CASCADE
);
COMMENT ON TABLE web3_balances IS 'Web3 余额';
COMMENT ON COLUMN web3_balances.raw_balance IS 'uint256, smallest unit';

CREATE TABLE web3_transactions (
    chain         varchar(20) NOT NULL,
    tx_hash       bytea NOT NULL,
    block_number  bigint NOT NULL,
    block_time    timestamptz,
    value         numeric(78,0) NOT NULL DEFAULT 0,
    method        text,
    log_indexes   integer[],
    memo          text,
    CONSTRAINT web3_transactions_pkey PRIMARY KEY (chain, tx_hash),
    CONSTRAINT ck_web3_transactions_hash CHECK (octet_length(tx_hash) = 32)
);
COMMENT ON TABLE web3_transactions IS 'Web3 交易';


------------------------------------------------------------------------
-- Exchange rates
------------------------------------------------------------------------

CREATE TABLE exchange_rates (
    id              bigserial,
    base_currency   currency_code NOT NULL,
    quote_currency  currency_code NOT NULL,
    rate_date       date NOT NULL,
    rate            numeric(38,18) NOT NULL,
    source          varchar(40) NOT NULL DEFAULT 'ecb',
    fetched_at      timestamptz NOT NULL DEFAULT now(),
    valid_until     timestamptz,
    CONSTRAINT exchange_rates_pkey PRIMARY KEY (id, rate_date),
    CONSTRAINT uq_exchange_rates UNIQUE (base_currency, quote_currency, rate_date, source),
    CONSTRAINT ck_exchange_rates_pair CHECK (base_currency <> quote_currency),
    CONSTRAINT ck_exchange_rates_rate CHECK (rate > 0)
) PARTITION BY RANGE (rate_date);
CREATE INDEX idx_exchange_rates_date ON exchange_rates (rate_date DESC);
COMMENT ON TABLE exchange_rates IS '每日汇率, one partition for each year';

CREATE TABLE exchange_rates_2023 PARTITION OF exchange_rates FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE exchange_rates_2024 PARTITION OF exchange_rates FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE exchange_rates_2025 PARTITION OF exchange_rates FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE exchange_rates_2026 PARTITION OF exchange_rates FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE exchange_rates_default PARTITION OF exchange_rates DEFAULT;


------------------------------------------------------------------------
-- Snapshots
------------------------------------------------------------------------

CREATE TABLE asset_snapshots (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    platform       varchar(50) NOT NULL,
    asset_type     asset_class NOT NULL,
    asset_code     varchar(50) NOT NULL,
    asset_name     varchar(200),
    currency       currency_code NOT NULL,
    balance        numeric(38,18) NOT NULL,
    balance_cny    numeric,
    balance_usd    numeric,
    extra          jsonb,
    snapshot_at    timestamptz NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    base_value     numeric(38,18),
    base_currency  currency_code NOT NULL DEFAULT 'CNY',
    CONSTRAINT asset_snapshots_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_asset_snapshots_asset ON asset_snapshots (platform, asset_code, snapshot_at DESC);
CREATE INDEX idx_asset_snapshots_base ON asset_snapshots (snapshot_at)
    INCLUDE (base_value) WHERE base_value IS NOT NULL;
COMMENT ON TABLE asset_snapshots IS '资产快照';
COMMENT ON COLUMN asset_snapshots.base_value IS '本位币价值';

CREATE TABLE exchange_rate_snapshots (
    id             bigint GENERATED BY DEFAULT AS IDENTITY,
    from_currency  currency_code NOT NULL,
    to_currency    currency_code NOT NULL,
    rate           numeric NOT NULL,
    snapshot_at    timestamptz NOT NULL,
    source         varchar(40),
    CONSTRAINT exchange_rate_snapshots_pkey PRIMARY KEY (id),
    CONSTRAINT uq_exchange_rate_snapshots UNIQUE (from_currency, to_currency, snapshot_at)
);
COMMENT ON TABLE exchange_rate_snapshots IS '汇率快照';


------------------------------------------------------------------------
-- Views
------------------------------------------------------------------------

CREATE VIEW v_latest_asset_snapshots AS
SELECT DISTINCT ON (platform, asset_code, currency)
       id, platform, asset_type, asset_code, currency, balance, snapshot_at,
       base_value, base_currency
  FROM asset_snapshots
 ORDER BY platform, asset_code, currency, snapshot_at DESC, id DESC;
COMMENT ON VIEW v_latest_asset_snapshots IS '每个资产的最新快照';

CREATE MATERIALIZED VIEW mv_monthly_operations AS
SELECT date_trunc('month', operation_date AT TIME ZONE 'UTC')::date AS month,
       platform,
       operation_type,
       currency,
       count(*) AS operations,
       sum(amount) AS total_amount,
       sum(fee) AS total_fee
  FROM user_operations
 WHERE status <> 'cancelled'
 GROUP BY 1, 2, 3, 4;
CREATE UNIQUE INDEX uq_mv_monthly_operations ON mv_monthly_operations (month, platform, operation_type, currency);
COMMENT ON MATERIALIZED VIEW mv_monthly_operations IS '月度操作汇总 (UTC)';

CREATE MATERIALIZED VIEW mv_platform_value AS
SELECT platform, base_currency, count(*) AS assets, sum(base_value) AS total_base_value
  FROM v_latest_asset_snapshots
 GROUP BY platform, base_currency;


------------------------------------------------------------------------
-- Triggers
------------------------------------------------------------------------

CREATE TRIGGER trg_fund_info_updated_at BEFORE UPDATE ON fund_info
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_user_operations_updated_at BEFORE UPDATE ON user_operations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_asset_positions_updated_at BEFORE UPDATE ON asset_positions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_dca_plans_updated_at BEFORE UPDATE ON dca_plans
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_system_config_updated_at BEFORE UPDATE ON system_config
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_wise_transactions_updated_at BEFORE UPDATE ON wise_transactions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_wise_balances_updated_at BEFORE UPDATE ON wise_balances
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_ibkr_accounts_updated_at BEFORE UPDATE ON ibkr_accounts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_okx_positions_updated_at BEFORE UPDATE ON okx_positions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TRIGGER trg_dca_plans_audit AFTER INSERT OR UPDATE OR DELETE ON dca_plans
    FOR EACH ROW EXECUTE FUNCTION audit_row('id');
CREATE TRIGGER trg_system_config_audit AFTER INSERT OR UPDATE OR DELETE ON system_config
    FOR EACH ROW EXECUTE FUNCTION audit_row('config_key');
CREATE TRIGGER trg_user_operations_audit AFTER DELETE OR UPDATE OF amount, fee, status ON user_operations
    FOR EACH ROW EXECUTE FUNCTION audit_row('id');

-- History rows are only ever added; the trigger is kept for repairs.
CREATE TRIGGER trg_wise_balances_audit AFTER UPDATE OR DELETE ON wise_balances
    FOR EACH ROW EXECUTE FUNCTION audit_row('id');
ALTER TABLE wise_balances DISABLE TRIGGER trg_wise_balances_audit;
