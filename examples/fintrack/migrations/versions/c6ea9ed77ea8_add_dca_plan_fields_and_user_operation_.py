"""add dca plan fields and user operation links, audit log

Revision ID: c6ea9ed77ea8
Revises: 94e7ccaad3b2
Create Date: 2025-07-03 23:05:44.730158

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'c6ea9ed77ea8'
down_revision: Union[str, None] = '94e7ccaad3b2'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    # The new labels stand in the middle of the order, and cannot be used
    # before they are committed.
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE operation_type ADD VALUE IF NOT EXISTS 'dca_buy' BEFORE 'sell'")
        op.execute("ALTER TYPE operation_type ADD VALUE IF NOT EXISTS 'reversal' BEFORE 'transfer'")

    # --- dca_plans -------------------------------------------------------
    op.add_column('dca_plans', sa.Column('next_run_at', sa.DateTime(timezone=True)))
    op.add_column('dca_plans', sa.Column('last_run_at', sa.DateTime(timezone=True)))
    op.add_column('dca_plans', sa.Column('execution_count', sa.Integer(), server_default=sa.text('0'), nullable=False))
    op.add_column('dca_plans', sa.Column('total_invested', sa.Numeric(38, 18), server_default=sa.text('0'), nullable=False))
    op.add_column('dca_plans', sa.Column('smart_rules', postgresql.JSONB(), comment='智能定投规则'))
    op.create_index('idx_dca_plans_due', 'dca_plans', ['next_run_at'], postgresql_where=sa.text('is_active'))

    # --- user_operations -------------------------------------------------
    op.add_column('user_operations', sa.Column('dca_plan_id', sa.Integer()))
    op.add_column('user_operations', sa.Column('dca_execution_type', sa.String(20)))
    op.add_column('user_operations', sa.Column('reverses_id', sa.BigInteger(), comment='冲销的原操作'))
    op.create_foreign_key('fk_user_operations_dca_plan', 'user_operations', 'dca_plans',
                          ['dca_plan_id'], ['id'], ondelete='SET NULL')
    op.create_foreign_key('fk_user_operations_reverses', 'user_operations', 'user_operations',
                          ['reverses_id'], ['id'])
    op.create_check_constraint('ck_user_operations_dca_execution', 'user_operations',
                               "dca_execution_type IN ('scheduled', 'manual', 'smart')")
    op.create_check_constraint('ck_user_operations_not_itself', 'user_operations', 'reverses_id <> id')
    op.create_index('idx_user_operations_reverses', 'user_operations', ['reverses_id'], unique=True,
                    postgresql_where=sa.text('reverses_id IS NOT NULL'))
    op.create_index('idx_user_operations_tags', 'user_operations', ['tags'], postgresql_using='gin')

    # --- audit log -------------------------------------------------------
    op.create_table(
        'audit_log',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column('table_name', sa.Text(), nullable=False),
        sa.Column('op', sa.CHAR(1), nullable=False),
        sa.Column('row_key', sa.Text()),
        sa.Column('old_row', postgresql.JSONB()),
        sa.Column('new_row', postgresql.JSONB()),
        sa.Column('changed_by', sa.Text(), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name='audit_log_pkey'),
        sa.CheckConstraint("op IN ('I', 'U', 'D')", name='ck_audit_log_op'),
        comment='Written by triggers only',
    )
    op.create_index('idx_audit_log_row', 'audit_log', ['table_name', 'row_key'])
    op.execute("""
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
$fn$
    """)
    op.execute("COMMENT ON FUNCTION audit_row() IS 'AFTER trigger; its argument names the key column'")
    op.execute("""
        CREATE TRIGGER trg_dca_plans_audit AFTER INSERT OR UPDATE OR DELETE ON dca_plans
            FOR EACH ROW EXECUTE FUNCTION audit_row('id')
    """)
    op.execute("""
        CREATE TRIGGER trg_system_config_audit AFTER INSERT OR UPDATE OR DELETE ON system_config
            FOR EACH ROW EXECUTE FUNCTION audit_row('config_key')
    """)
    op.execute("""
        CREATE TRIGGER trg_user_operations_audit AFTER DELETE OR UPDATE OF amount, fee, status ON user_operations
            FOR EACH ROW EXECUTE FUNCTION audit_row('id')
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_user_operations_audit ON user_operations")
    op.execute("DROP TRIGGER trg_system_config_audit ON system_config")
    op.execute("DROP TRIGGER trg_dca_plans_audit ON dca_plans")
    op.execute("DROP FUNCTION audit_row()")
    op.drop_table('audit_log')

    op.drop_index('idx_user_operations_tags', table_name='user_operations')
    op.drop_index('idx_user_operations_reverses', table_name='user_operations')
    op.drop_constraint('ck_user_operations_not_itself', 'user_operations', type_='check')
    op.drop_constraint('ck_user_operations_dca_execution', 'user_operations', type_='check')
    op.drop_constraint('fk_user_operations_reverses', 'user_operations', type_='foreignkey')
    op.drop_constraint('fk_user_operations_dca_plan', 'user_operations', type_='foreignkey')
    op.drop_column('user_operations', 'reverses_id')
    op.drop_column('user_operations', 'dca_execution_type')
    op.drop_column('user_operations', 'dca_plan_id')

    op.drop_index('idx_dca_plans_due', table_name='dca_plans')
    for column in ('smart_rules', 'total_invested', 'execution_count', 'last_run_at', 'next_run_at'):
        op.drop_column('dca_plans', column)

    # PostgreSQL cannot drop a label: build the old type again.
    op.execute("ALTER TYPE operation_type RENAME TO operation_type_new")
    op.execute("CREATE TYPE operation_type AS ENUM ('buy', 'sell', 'dividend', 'transfer')")
    op.execute("COMMENT ON TYPE operation_type IS '操作类型'")
    op.execute("""
        ALTER TABLE user_operations ALTER COLUMN operation_type TYPE operation_type
            USING (CASE operation_type::text
                       WHEN 'dca_buy' THEN 'buy'
                       WHEN 'reversal' THEN 'transfer'
                       ELSE operation_type::text
                   END)::operation_type
    """)
    op.execute("DROP TYPE operation_type_new")
