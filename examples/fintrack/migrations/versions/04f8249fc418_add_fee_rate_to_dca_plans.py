"""add fee_rate to dca_plans

Revision ID: 04f8249fc418
Revises: c6ea9ed77ea8
Create Date: 2025-07-05 13:27:02.551900

"""
from alembic import op
import sqlalchemy as sa

revision = '04f8249fc418'
down_revision = 'c6ea9ed77ea8'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('dca_plans', sa.Column('fee_rate', sa.Numeric(8, 6), server_default=sa.text('0'), nullable=False))
    op.create_check_constraint('ck_dca_plans_fee_rate', 'dca_plans', 'fee_rate >= 0 AND fee_rate < 1')
    op.execute("COMMENT ON COLUMN dca_plans.fee_rate IS '手续费率, 0.0015 = 0.15%'")


def downgrade():
    op.drop_constraint('ck_dca_plans_fee_rate', 'dca_plans', type_='check')
    op.drop_column('dca_plans', 'fee_rate')
