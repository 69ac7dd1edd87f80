"""add fund_dividend table

... and fund_nav, the price history that dividends are computed on.

Revision ID: 94e7ccaad3b2
Revises: 843fdae84b37
Create Date: 2025-07-01 08:15:30.004417

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision: str = '94e7ccaad3b2'
down_revision: Union[str, None] = '843fdae84b37'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    op.create_table(
        'fund_dividend',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('fund_code', sa.String(20), nullable=False),
        sa.Column('record_date', sa.Date()),
        sa.Column('ex_date', sa.Date(), nullable=False, comment='除息日'),
        sa.Column('payment_date', sa.Date()),
        sa.Column('dividend_amount', sa.Numeric(20, 8), nullable=False, comment='每份分红'),
        sa.Column('announcement', sa.Text()),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='fund_dividend_pkey'),
        sa.UniqueConstraint('fund_code', 'ex_date', name='uq_fund_dividend'),
        sa.ForeignKeyConstraint(['fund_code'], ['fund_info.fund_code'], name='fk_fund_dividend_fund',
                                onupdate='CASCADE', ondelete='CASCADE'),
        sa.CheckConstraint('dividend_amount >= 0', name='ck_fund_dividend_amount'),
        comment='基金分红',
    )
    op.create_index('idx_fund_dividend_date', 'fund_dividend', ['ex_date'])

    op.create_table(
        'fund_nav',
        sa.Column('fund_code', sa.String(20), nullable=False),
        sa.Column('nav_date', sa.Date(), nullable=False),
        sa.Column('nav', sa.Numeric(20, 8), nullable=False),
        sa.Column('accumulated_nav', sa.Numeric(20, 8)),
        sa.Column('growth_rate', sa.Double()),
        sa.Column('source', sa.String(40)),
        sa.PrimaryKeyConstraint('fund_code', 'nav_date', name='fund_nav_pkey'),
        sa.ForeignKeyConstraint(['fund_code'], ['fund_info.fund_code'], name='fk_fund_nav_fund',
                                onupdate='CASCADE', ondelete='CASCADE'),
        comment='基金净值历史',
    )


def downgrade() -> None:
    op.drop_table('fund_nav')
    op.drop_table('fund_dividend')
